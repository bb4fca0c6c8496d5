//! The flasher against the imitated board's loader.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::*;
use crate::{
    adapters::image,
    sandbox::board::{
        BoardFault, BoardFaultKind, BoardOptions, ImitatedBoard,
        image_fixture::{APP_OFFSET, ROWS, TABLE_OFFSET, app_image, bootloader_image, partition_table},
    },
};

/// Ends a hang; nothing is measured by it.
const LONG: Duration = Duration::from_secs(60);

fn firmware(version: &str) -> Image {
    let files = [
        ("bootloader.bin", 0, bootloader_image()),
        ("partitions.bin", TABLE_OFFSET, partition_table(&ROWS)),
        ("app.bin", APP_OFFSET, app_image(version)),
    ];
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let mut manifest = format!(
        "version = \"{version}\"\nchip = \"esp32c3\"\nimage_sha256 = \"{}\"\ntool_chain = \"\"\nsources_sha256 = \"\"\n\
         kept = []\n",
        digest(&files[2].2),
    );
    for (file, address, bytes) in &files {
        manifest += &format!(
            "[[parts]]\nfile = \"{file}\"\naddress = {address}\nsize = {}\nsha256 = \"{}\"\n",
            bytes.len(),
            digest(bytes),
        );
    }
    image::from_parts(&manifest, |name| files.iter().find(|(file, ..)| *file == name).map(|(.., bytes)| bytes.clone()))
        .unwrap()
}

fn power_up(dir: &Path, faults: Vec<BoardFault>) -> ImitatedBoard {
    ImitatedBoard::start(BoardOptions { faults, ..BoardOptions::new("Board1", dir, 7) }).unwrap()
}

async fn open(imitated: &ImitatedBoard, options: OpenOptions) -> Box<dyn Board> {
    SerialBoards::default().open(imitated.port().to_str().unwrap(), options).await.unwrap()
}

async fn flash(board: &dyn Board, image: &Image) -> Result<FlashReport, BoardError> {
    board.flash(image, None, &|_| {}, &Cancel::default()).await
}

#[tokio::test]
async fn a_blank_board_is_flashed_boots_and_is_left_alone_the_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    let Found::Loader { chip } = board.identify().await.unwrap() else { panic!("a blank board runs nothing") };
    assert_eq!((chip.chip.as_str(), chip.flash_bytes, chip.secured), ("esp32c3", 4 << 20, false));
    assert_eq!(chip.mac.0, imitated.mac());

    let image = firmware("1.0.0");
    let steps = Mutex::new(Vec::new());
    let report = board.flash(&image, None, &|step| steps.lock().unwrap().push(step), &Cancel::default()).await.unwrap();
    assert_eq!((report.written_bytes, report.skipped_bytes), (image.size(), 0));
    assert_eq!((report.baud, report.stub, &report.chip), (921_600, true, &chip));
    let steps = steps.into_inner().unwrap();
    assert!(steps.is_sorted_by_key(|step| step.done_bytes), "{steps:?}");
    assert_eq!(steps.last().map(|step| step.done_bytes), Some(image.size()));

    let hello = board.boot(LONG).await.unwrap();
    assert_eq!(hello.image_sha256[..], Sha256::digest(app_image("1.0.0"))[..]);
    let Found::Running { hello } = board.identify().await.unwrap() else { panic!("it runs") };
    assert_eq!(hello.image_sha256, image.manifest.image_sha256);

    let report = flash(board.as_ref(), &image).await.unwrap();
    assert_eq!((report.written_bytes, report.skipped_bytes), (0, image.size()));
    board.boot(LONG).await.unwrap();
}

#[tokio::test]
async fn the_shipped_image_boots() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    let image = image::shipped().unwrap();
    flash(board.as_ref(), &image).await.unwrap();
    let hello = board.boot(LONG).await.unwrap();
    assert_eq!(hex::encode(hello.image_sha256), image.manifest.image_sha256);
}

#[tokio::test]
async fn only_what_changed_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    flash(board.as_ref(), &firmware("1.0.0")).await.unwrap();
    board.boot(LONG).await.unwrap();
    let newer = firmware("1.0.1");
    let report = flash(board.as_ref(), &newer).await.unwrap();
    assert_eq!(report.written_bytes, newer.parts[2].bytes.len() as u64);
    assert_eq!(hex::encode(board.boot(LONG).await.unwrap().image_sha256), newer.manifest.image_sha256);
}

#[tokio::test]
async fn the_rom_loader_alone_flashes_too() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions { no_stub: true, ..OpenOptions::default() }).await;
    let image = firmware("1.0.0");
    let report = flash(board.as_ref(), &image).await.unwrap();
    assert_eq!((report.written_bytes, report.baud, report.stub), (image.size(), 115_200, false));
    board.boot(LONG).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_flash_says_how_far_it_came_and_can_be_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    let image = image_of_slices();
    let cancel = Cancel::default();
    let wrote = AtomicBool::new(false);
    let stop_at_first_write = |step: FlashProgress| {
        if step.phase == FlashPhase::Write && step.done_bytes > 0 {
            wrote.store(true, Ordering::SeqCst);
            cancel.cancel();
        }
    };
    let outcome = board.flash(&image, None, &stop_at_first_write, &cancel).await;
    assert!(wrote.load(Ordering::SeqCst));
    assert!(matches!(outcome, Err(BoardError::Cancelled { half_written: true })), "{outcome:?}");
    // What was written before is not written again.
    let report = flash(board.as_ref(), &image).await.unwrap();
    assert!(report.skipped_bytes > 0 && report.written_bytes > 0, "{report:?}");
    let early = Cancel::default();
    early.cancel();
    let outcome = board.flash(&image, None, &|_| {}, &early).await;
    assert!(matches!(outcome, Err(BoardError::Cancelled { half_written: false })), "{outcome:?}");
}

/// Two MB that do not compress, so that there is time to cancel.
fn image_of_slices() -> Image {
    let mut image = firmware("1.0.0");
    let mut state = 1_u64;
    let noise = (0..2 << 20).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    image.parts[2].bytes = noise.collect();
    image
}

#[tokio::test]
async fn a_chip_that_the_image_is_not_for_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    let mut image = firmware("1.0.0");
    image.manifest.chip = "esp32s3".into();
    let outcome = flash(board.as_ref(), &image).await;
    assert!(matches!(outcome, Err(BoardError::WrongChip { .. })), "{outcome:?}");
    let mut image = firmware("1.0.0");
    image.parts[2].address = 4 << 20;
    let outcome = flash(board.as_ref(), &image).await;
    assert!(matches!(outcome, Err(BoardError::WrongChip { .. })), "{outcome:?}");
    assert!(matches!(board.identify().await, Ok(Found::Loader { .. })));
}

#[tokio::test]
async fn a_write_that_fails_is_tried_again_further_down_the_ladder() {
    let dir = tempfile::tempdir().unwrap();
    let fault = BoardFault { after_bytes: 0, kind: BoardFaultKind::FailWrite };
    let imitated = power_up(dir.path(), vec![fault]);
    let board = open(&imitated, OpenOptions::default()).await;
    let report = flash(board.as_ref(), &firmware("1.0.0")).await.unwrap();
    assert!(report.baud < 921_600, "{report:?}");
    board.boot(LONG).await.unwrap();
}

#[tokio::test]
async fn a_board_unplugged_while_it_is_flashed_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), Vec::new());
    let board = open(&imitated, OpenOptions::default()).await;
    let control = imitated.control();
    let unplug = |step: FlashProgress| {
        if step.phase == FlashPhase::Write {
            control.unplug();
        }
    };
    let outcome = board.flash(&image_of_slices(), None, &unplug, &Cancel::default()).await;
    assert!(matches!(outcome, Err(BoardError::Unplugged)), "{outcome:?}");
    control.plug();
    // The device comes back in its own time.
    let opened = async {
        loop {
            let port = imitated.port().to_str().unwrap();
            match SerialBoards::default().open(port, OpenOptions::default()).await {
                Ok(board) => break board,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let again = tokio::time::timeout(LONG, opened).await.unwrap();
    flash(again.as_ref(), &firmware("1.0.0")).await.unwrap();
    again.boot(LONG).await.unwrap();
}

/// The clock of this test jumps ahead while the loader works, so that a minute goes by without a step.
#[tokio::test(start_paused = true)]
async fn flashing_that_gets_no_further_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), vec![BoardFault { after_bytes: 0, kind: BoardFaultKind::SilentErase }]);
    let board = open(&imitated, OpenOptions::default()).await;
    let Err(BoardError::Flash { why }) = flash(board.as_ref(), &firmware("1.0.0")).await else { panic!("it goes on") };
    assert!(why.contains("no further for 60 s"), "{why}");
}

/// Every wait has an end: nothing but the flasher's own limits ends this one.
#[tokio::test]
async fn a_loader_that_falls_silent_at_the_first_erase_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let imitated = power_up(dir.path(), vec![BoardFault { after_bytes: 0, kind: BoardFaultKind::SilentErase }]);
    let board = open(&imitated, OpenOptions::default()).await;
    let outcome = tokio::time::timeout(2 * LONG, flash(board.as_ref(), &firmware("1.0.0"))).await.unwrap();
    assert!(matches!(outcome, Err(BoardError::Flash { .. })), "{outcome:?}");
    // The line is free again.
    imitated.control().reset();
    assert!(matches!(board.identify().await, Ok(Found::Loader { .. })));
}
