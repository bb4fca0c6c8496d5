#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod app_image;
mod identity;
mod imitated;
mod partition_tool;
mod ring;

use alloc::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use imitated::ImitatedFlash;
use record::{HEADER_LEN, MAGIC, SLOT_LEN, is_newer};

const NVS_START: u32 = SECTOR_LEN;
const CALIBRATION_START: u32 = NVS_START + MIN_NVS_LEN + SECTOR_LEN;
const BACKLOG_START: u32 = CALIBRATION_START + CALIBRATION_LEN + SECTOR_LEN;
const BACKLOG_LEN: u32 = 4 * SECTOR_LEN;
const FLASH_LEN: usize = (BACKLOG_START + BACKLOG_LEN + SECTOR_LEN) as usize;

fn layout() -> Layout {
    Layout::new(nvs_range(), calibration_range(), Some(BACKLOG_START..BACKLOG_START + BACKLOG_LEN)).unwrap()
}

fn nvs_range() -> Range<u32> {
    NVS_START..NVS_START + MIN_NVS_LEN
}

fn calibration_range() -> Range<u32> {
    CALIBRATION_START..CALIBRATION_START + CALIBRATION_LEN
}

fn board_flash(flash: ImitatedFlash) -> BoardFlash<ImitatedFlash> {
    BoardFlash::new(flash, Some(layout()))
}

/// Cuts the power in every step of `change` and says for each cut what was there afterwards.
fn after_each_cut(
    before: &ImitatedFlash,
    change: impl Fn(&mut BoardFlash<ImitatedFlash>) -> Result<(), StoreError>,
    mut judge: impl FnMut(u32, &mut BoardFlash<ImitatedFlash>),
) {
    let mut steps = 0;
    loop {
        let mut cut = board_flash(before.with_power_for(steps));
        let outcome = change(&mut cut);
        let was_cut = cut.flash().was_cut();
        judge(steps, &mut board_flash(cut.flash().with_power()));
        if !was_cut {
            assert!(outcome.is_ok(), "with power for {steps} steps nothing may fail");
            assert!(steps > 0, "the change must have taken a step");
            return;
        }
        steps += 1;
    }
}

#[test]
fn a_blank_chip_holds_nothing() {
    let mut flash = board_flash(ImitatedFlash::new());
    for item in Item::ALL {
        assert_eq!(flash.load(item), None);
    }
    assert!(flash.load_identity().is_none() && flash.load_pending_key().is_none());
    assert_eq!((flash.oldest(), flash.waiting(), flash.dropped()), (None, 0, 0));
}

#[test]
fn without_partitions_nothing_is_kept_and_that_is_said() {
    let mut flash = BoardFlash::new(ImitatedFlash::new(), None);
    assert!(!flash.is_usable() && board_flash(ImitatedFlash::new()).is_usable());
    for item in Item::ALL {
        assert_eq!(flash.save(item, b"lines"), Err(StoreError::Save));
        assert_eq!(flash.load(item), None);
    }
    assert_eq!(flash.save_identity(&identity::identity(1)), Err(StoreError::Save));
    assert_eq!(flash.erase_credentials(), Err(StoreError::Erase));
    assert!(flash.load_identity().is_none());
    assert_eq!(flash.flash().bytes, ImitatedFlash::new().bytes);
}

#[test]
fn what_was_saved_last_is_loaded_and_items_do_not_touch_each_other() {
    let mut flash = board_flash(ImitatedFlash::new());
    for round in 0..300 {
        for item in Item::ALL {
            flash.save(item, format!("{item:?} {round}").as_bytes()).unwrap();
        }
    }
    for item in Item::ALL {
        assert_eq!(flash.load(item).unwrap(), format!("{item:?} 299").into_bytes());
    }
    flash.erase_credentials().unwrap();
    for item in Item::ALL {
        assert_eq!(flash.load(item).unwrap(), format!("{item:?} 299").into_bytes());
    }
}

#[test]
fn nothing_outside_the_partitions_is_changed() {
    let mut flash = board_flash(ImitatedFlash::holding(vec![0x5a; FLASH_LEN]));
    for round in 0..20 {
        for item in Item::ALL {
            flash.save(item, &vec![round; Item::MAX_LEN]).unwrap();
        }
        flash.save_identity(&identity::identity(round)).unwrap();
        flash.erase_credentials().unwrap();
        for _ in 0..20 {
            flash.push(&[round; 200]).unwrap();
        }
    }
    let bytes = &flash.flash().bytes;
    let outside = [
        0..NVS_START as usize,
        (NVS_START + MIN_NVS_LEN) as usize..CALIBRATION_START as usize,
        (CALIBRATION_START + CALIBRATION_LEN) as usize..BACKLOG_START as usize,
        (BACKLOG_START + BACKLOG_LEN) as usize..FLASH_LEN,
    ];
    for range in outside {
        assert!(bytes[range].iter().all(|byte| *byte == 0x5a));
    }
}

#[test]
fn too_much_is_refused_and_the_old_item_stays() {
    let mut flash = board_flash(ImitatedFlash::new());
    for item in Item::ALL {
        flash.save(item, b"old").unwrap();
        assert_eq!(flash.save(item, &vec![1; Item::MAX_LEN + 1]), Err(StoreError::Full));
        assert_eq!(flash.load(item).unwrap(), b"old");
    }
}

#[test]
fn a_worn_cell_is_noticed_and_the_old_record_stays() {
    let mut flash = board_flash(ImitatedFlash::new());
    flash.save(Item::Calibration, b"old lines").unwrap();
    let second_slot_payload = (CALIBRATION_START + SLOT_LEN + HEADER_LEN) as usize;
    flash.flash().worn_address = Some(second_slot_payload + 5);
    assert_eq!(flash.save(Item::Calibration, b"new lines"), Err(StoreError::Save));
    assert_eq!(flash.load(Item::Calibration).unwrap(), b"old lines");
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
    let nvs = |from, to| Layout::new(from..to, calibration_range(), None);
    assert!(nvs(NVS_START, NVS_START + MIN_NVS_LEN).is_some());
    assert_eq!(nvs(NVS_START, NVS_START + MIN_NVS_LEN - 1), None);
    assert_eq!(nvs(NVS_START + 4, NVS_START + MIN_NVS_LEN + 4), None);
    assert_eq!(nvs(CALIBRATION_START, CALIBRATION_START + MIN_NVS_LEN), None);
    assert_eq!(nvs(SECTOR_LEN, 0), None);
    let backlog = |from, to| Layout::new(nvs_range(), calibration_range(), Some(from..to));
    assert!(backlog(BACKLOG_START, BACKLOG_START + MIN_BACKLOG_LEN).is_some());
    assert_eq!(backlog(BACKLOG_START, BACKLOG_START + SECTOR_LEN), None);
    assert_eq!(backlog(NVS_START, NVS_START + MIN_BACKLOG_LEN), None);
    assert_eq!(backlog(BACKLOG_START, BACKLOG_START + MIN_BACKLOG_LEN + 4), None);
}

#[test]
fn a_loss_of_power_while_saving_leaves_the_old_or_the_new_item() {
    let old = b"the lines of truckSensor01".as_slice();
    let new: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    // From either slot, so with one or two saves before; what lies in the other slot is stale.
    for (item, saves) in [(Item::Calibration, 1), (Item::Calibration, 2), (Item::Settings, 1), (Item::Settings, 7)] {
        let mut before = board_flash(ImitatedFlash::new());
        for round in 0..saves {
            before.save(item, &vec![round; 4500]).unwrap();
        }
        before.save(item, old).unwrap();
        let before = before.flash().clone();

        let mut was_new = false;
        after_each_cut(
            &before,
            |flash| flash.save(item, &new),
            |steps, flash| {
                let found = flash.load(item).unwrap();
                assert!(found == old || found == new, "{item:?}, cut after {steps} steps");
                assert!(!was_new || found == new, "once new, it stays new");
                was_new = found == new;
                // Whatever lies there, the next save works.
                flash.save(item, b"next").unwrap();
                assert_eq!(flash.load(item).unwrap(), b"next");
            },
        );
        assert!(was_new);
    }
}

#[test]
fn a_loss_of_power_while_saving_the_first_time_leaves_nothing_or_the_item() {
    for item in Item::ALL {
        after_each_cut(
            &ImitatedFlash::new(),
            |flash| flash.save(item, b"lines"),
            |_, flash| assert!(flash.load(item).is_none_or(|found| found == b"lines")),
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_in_flash_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), FLASH_LEN / 16),
        saved in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let bytes = bytes.iter().copied().cycle().take(FLASH_LEN).collect();
        let mut flash = board_flash(ImitatedFlash::holding(bytes));
        prop_assert!(flash.load_identity().is_none());
        for item in Item::ALL {
            prop_assert_eq!(flash.load(item), None);
            flash.save(item, &saved).unwrap();
            prop_assert_eq!(flash.load(item).unwrap(), saved.clone());
        }
        flash.claim(1);
        prop_assert_eq!(flash.oldest(), None);
        flash.push(b"reading").unwrap();
        prop_assert_eq!(flash.oldest().unwrap().record, b"reading");
    }

    #[test]
    fn any_header_is_survived(header in any::<[u32; 3]>()) {
        let mut flash = ImitatedFlash::new();
        let words = [MAGIC, header[0], header[1], header[2]].map(u32::to_le_bytes);
        flash.bytes[CALIBRATION_START as usize..][..16].copy_from_slice(words.as_flattened());
        prop_assert!(board_flash(flash).load(Item::Calibration).is_none());
    }
}
