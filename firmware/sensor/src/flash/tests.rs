#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use alloc::{format, vec, vec::Vec};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

/// Flash memory whose power fails after a number of steps. A step is a word programmed or a quarter of a sector
/// erased; the step at which the power fails is done by half.
#[derive(Clone)]
struct ImitatedFlash {
    bytes: Vec<u8>,
    steps_left: Option<u32>,
    /// Bits that cannot be cleared any more, at one address.
    worn_address: Option<usize>,
}

const NVS_START: u32 = SECTOR_LEN;
const CALIBRATION_START: u32 = NVS_START + NVS_LEN + SECTOR_LEN;
const FLASH_LEN: usize = (CALIBRATION_START + CALIBRATION_LEN + SECTOR_LEN) as usize;

impl ImitatedFlash {
    fn new() -> Self {
        ImitatedFlash { bytes: vec![0xff; FLASH_LEN], steps_left: None, worn_address: None }
    }

    fn with_power_for(&self, steps: u32) -> Self {
        ImitatedFlash { steps_left: Some(steps), ..self.clone() }
    }

    fn with_power(&self) -> Self {
        ImitatedFlash { steps_left: None, ..self.clone() }
    }

    /// `true` while there is power for one more step.
    fn step(&mut self) -> bool {
        match &mut self.steps_left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl NorFlash for ImitatedFlash {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4), "reads are made by words");
        bytes.copy_from_slice(&self.bytes[address as usize..][..bytes.len()]);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4), "programming is made by words");
        for (index, word) in bytes.chunks(4).enumerate() {
            let start = address as usize + 4 * index;
            let powered = self.step();
            let len = if powered { 4 } else { 2 };
            for (offset, byte) in word.iter().enumerate().take(len) {
                if self.worn_address != Some(start + offset) {
                    self.bytes[start + offset] &= byte;
                }
            }
            if !powered {
                return Err(FlashError);
            }
        }
        Ok(())
    }

    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(SECTOR_LEN), "sectors are erased whole");
        const QUARTER: usize = SECTOR_LEN as usize / 4;
        for quarter in self.bytes[address as usize..][..4 * QUARTER].chunks_mut(QUARTER) {
            match &mut self.steps_left {
                Some(0) => {
                    // Some bits are set already, others not yet.
                    quarter.iter_mut().for_each(|byte| *byte |= 0xa5);
                    return Err(FlashError);
                }
                Some(left) => *left -= 1,
                None => (),
            }
            quarter.fill(0xff);
        }
        Ok(())
    }
}

fn layout() -> Layout {
    Layout::new(NVS_START..NVS_START + NVS_LEN, CALIBRATION_START..CALIBRATION_START + CALIBRATION_LEN).unwrap()
}

fn records(flash: ImitatedFlash) -> Records<ImitatedFlash> {
    Records::new(flash, layout())
}

#[test]
fn a_blank_chip_holds_nothing() {
    let mut records = records(ImitatedFlash::new());
    for item in Item::ALL {
        assert_eq!(records.load(item), None);
    }
}

#[test]
fn what_was_saved_last_is_loaded_and_items_do_not_touch_each_other() {
    let mut records = records(ImitatedFlash::new());
    for round in 0..5 {
        for item in Item::ALL {
            records.save(item, format!("{item:?} {round}").as_bytes()).unwrap();
        }
    }
    for item in Item::ALL {
        assert_eq!(records.load(item).unwrap(), format!("{item:?} 4").into_bytes());
    }
    records.erase(Item::Credentials).unwrap();
    assert_eq!(records.load(Item::Credentials), None);
    assert_eq!(records.load(Item::Settings).unwrap(), b"Settings 4");
    assert_eq!(records.load(Item::Calibration).unwrap(), b"Calibration 4");
}

#[test]
fn nothing_outside_the_two_partitions_is_changed() {
    let mut records = records(ImitatedFlash { bytes: vec![0x5a; FLASH_LEN], ..ImitatedFlash::new() });
    for item in Item::ALL {
        records.save(item, &vec![7; Item::MAX_LEN]).unwrap();
        records.erase(item).unwrap();
    }
    let bytes = &records.flash().bytes;
    let outside = [
        0..NVS_START as usize,
        (NVS_START + NVS_LEN) as usize..CALIBRATION_START as usize,
        (CALIBRATION_START + CALIBRATION_LEN) as usize..FLASH_LEN,
    ];
    for range in outside {
        assert!(bytes[range].iter().all(|byte| *byte == 0x5a));
    }
}

#[test]
fn erased_credentials_leave_no_byte_behind() {
    let mut records = records(ImitatedFlash::new());
    let secret = b"-- a private key --";
    for round in 0..3 {
        records.save(Item::Credentials, &[secret.as_slice(), &[round]].concat()).unwrap();
    }
    records.erase(Item::Credentials).unwrap();
    assert!(!records.flash().bytes.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn too_much_is_refused_and_the_old_record_stays() {
    let mut records = records(ImitatedFlash::new());
    records.save(Item::Settings, b"old").unwrap();
    assert_eq!(records.save(Item::Settings, &vec![1; Item::MAX_LEN + 1]), Err(StoreError::Full));
    assert_eq!(records.load(Item::Settings).unwrap(), b"old");
}

#[test]
fn a_worn_cell_is_noticed_and_the_old_record_stays() {
    let mut records = records(ImitatedFlash::new());
    records.save(Item::Settings, b"old settings").unwrap();
    let second_slot_payload = (NVS_START + SLOT_LEN + HEADER_LEN) as usize;
    records.flash().worn_address = Some(second_slot_payload + 5);
    assert_eq!(records.save(Item::Settings, b"new settings"), Err(StoreError::Save));
    assert_eq!(records.load(Item::Settings).unwrap(), b"old settings");
}

#[test]
fn sequence_numbers_wrap_around() {
    assert!(is_newer(1, 0));
    assert!(is_newer(0, u32::MAX));
    assert!(!is_newer(u32::MAX, 0));
    assert!(!is_newer(3, 3));
}

#[test]
fn a_layout_that_would_erase_something_else_is_refused() {
    let calibration = CALIBRATION_START..CALIBRATION_START + CALIBRATION_LEN;
    assert_eq!(Layout::new(NVS_START..NVS_START + NVS_LEN - 1, calibration.clone()), None);
    assert_eq!(Layout::new(NVS_START + 4..NVS_START + NVS_LEN + 4, calibration.clone()), None);
    assert_eq!(Layout::new(CALIBRATION_START..CALIBRATION_START + NVS_LEN, calibration.clone()), None);
    assert_eq!(Layout::new(NVS_START..NVS_START + NVS_LEN, Range { start: SECTOR_LEN, end: 0 }), None);
}

/// Cuts the power in every step of `change` and says for each cut what was there afterwards.
fn after_each_cut(
    before: &ImitatedFlash,
    change: impl Fn(&mut Records<ImitatedFlash>) -> Result<(), StoreError>,
    mut judge: impl FnMut(u32, &mut Records<ImitatedFlash>),
) {
    let mut steps = 0;
    loop {
        let mut cut = records(before.with_power_for(steps));
        let outcome = change(&mut cut);
        judge(steps, &mut records(cut.flash().with_power()));
        if outcome.is_ok() {
            assert!(steps > 0, "the change must have taken a step");
            return;
        }
        steps += 1;
    }
}

#[test]
fn a_loss_of_power_while_saving_leaves_the_old_or_the_new_record() {
    let old = b"the identity of truckSensor01".as_slice();
    let new: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    // From either slot, so with one or two saves before; the third slot content is a stale record.
    for saves in 1..=3 {
        let mut before = records(ImitatedFlash::new());
        for round in 0..saves {
            before.save(Item::Credentials, &vec![round; 4500]).unwrap();
        }
        before.save(Item::Credentials, old).unwrap();
        let before = before.flash().clone();

        let mut was_new = false;
        after_each_cut(
            &before,
            |records| records.save(Item::Credentials, &new),
            |steps, records| {
                let found = records.load(Item::Credentials).unwrap();
                assert!(found == old || found == new, "cut after {steps} steps");
                assert!(!was_new || found == new, "once new, it stays new");
                was_new = found == new;
                // Whatever lies there, the next save works.
                records.save(Item::Credentials, b"next").unwrap();
                assert_eq!(records.load(Item::Credentials).unwrap(), b"next");
            },
        );
        assert!(was_new);
    }
}

#[test]
fn a_loss_of_power_while_saving_the_first_time_leaves_nothing_or_the_record() {
    after_each_cut(
        &ImitatedFlash::new(),
        |records| records.save(Item::Calibration, b"lines"),
        |_, records| assert!(records.load(Item::Calibration).is_none_or(|found| found == b"lines")),
    );
}

#[test]
fn a_loss_of_power_while_erasing_never_brings_an_older_record_back() {
    for saves in 1..=3_u8 {
        let mut before = records(ImitatedFlash::new());
        for round in 1..=saves {
            before.save(Item::Credentials, &vec![round; 5000]).unwrap();
        }
        let before = before.flash().clone();
        after_each_cut(
            &before,
            |records| records.erase(Item::Credentials),
            |steps, records| {
                let found = records.load(Item::Credentials);
                assert!(found.is_none_or(|found| found == vec![saves; 5000]), "cut after {steps} steps");
            },
        );
    }
}

/// An image with these segments, as it is flashed.
fn image(segments: &[&[u8]]) -> Vec<u8> {
    let mut image = vec![0; 24];
    image[0] = 0xe9;
    image[1] = segments.len() as u8;
    image[23] = 1;
    for data in segments {
        image.extend_from_slice(&[0; 4]);
        image.extend_from_slice(&(data.len() as u32).to_le_bytes());
        image.extend_from_slice(data);
    }
    image.resize((image.len() + 1).next_multiple_of(16), 0);
    let digest = Sha256::digest(&image);
    image.extend_from_slice(&digest);
    image
}

fn digest_of(image: &[u8], partition: Range<u32>) -> Option<[u8; 32]> {
    let mut flash = ImitatedFlash::new();
    flash.bytes[SECTOR_LEN as usize..][..image.len()].copy_from_slice(image);
    app_image::digest(|address, bytes| flash.read(address, bytes), partition)
}

const APP: Range<u32> = SECTOR_LEN..FLASH_LEN as u32;

#[test]
fn the_digest_of_an_image_is_that_of_its_file() {
    for segments in [vec![], vec![[7; 20].as_slice()], vec![&[1; 4000], &[2; 1500], &[3; 4]]] {
        let image = image(&segments);
        let expected: [u8; 32] = Sha256::digest(&image).into();
        assert_eq!(digest_of(&image, APP), Some(expected));
    }
}

#[test]
fn a_damaged_or_cut_image_has_no_digest() {
    let whole = image(&[&[7; 2000]]);
    for position in [0, 1, 23, 28, 40, 1999, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        assert_eq!(digest_of(&damaged, APP), None, "byte {position}");
    }
    let short = APP.start..APP.start + whole.len() as u32 - 1;
    assert_eq!(digest_of(&whole, short), None);
    assert_eq!(digest_of(&[], APP), None);
}

proptest! {
    #[test]
    fn any_bytes_in_flash_are_survived(bytes in proptest::collection::vec(any::<u8>(), FLASH_LEN / 16), saved in proptest::collection::vec(any::<u8>(), 0..600)) {
        let bytes = bytes.iter().copied().cycle().take(FLASH_LEN).collect();
        let mut records = records(ImitatedFlash { bytes, ..ImitatedFlash::new() });
        for item in Item::ALL {
            let _ = records.load(item);
            records.save(item, &saved).unwrap();
            prop_assert_eq!(records.load(item).unwrap(), saved.clone());
        }
    }

    #[test]
    fn any_header_is_survived(header in any::<[u32; 3]>()) {
        let mut flash = ImitatedFlash::new();
        let words = [MAGIC, header[0], header[1], header[2]].map(u32::to_le_bytes);
        flash.bytes[NVS_START as usize..][..16].copy_from_slice(words.as_flattened());
        prop_assert!(records(flash).load(Item::Settings).is_none());
    }

    #[test]
    fn any_image_header_is_survived(header in any::<[u8; 32]>()) {
        let mut image = image(&[&[7; 2000]]);
        image[2..32].copy_from_slice(&header[2..]);
        let _ = digest_of(&image, APP);
    }
}
