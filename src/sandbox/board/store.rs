//! What the board keeps over a loss of power: the board's own code on the imitated flash chip.

use std::sync::Arc;

use coldbench_sensor::flash::{BoardFlash, Layout};

use super::{
    boot::Partition,
    flash::{Chip, Flash},
};

/// What a board keeps whose app was found through this partition table.
pub(super) fn open(flash: Arc<Flash>, partitions: &[Partition]) -> BoardFlash<Chip> {
    let named = |label: &str| {
        let partition = partitions.iter().find(|partition| partition.label == label)?;
        Some(partition.offset..partition.offset.saturating_add(partition.len))
    };
    let layout = named("nvs").zip(named("calib")).and_then(|(nvs, calib)| Layout::new(nvs, calib, named("backlog")));
    BoardFlash::new(Chip(flash), layout)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use coldbench_sensor::hardware::{Backlog as _, Item, Store as _};

    use super::super::{boot::find_app, flash::FLASH_BYTES, image_fixture::flash_with_app};
    use super::*;

    #[test]
    fn what_is_kept_lies_in_the_partitions_of_the_chip_and_outlives_a_restart() {
        let (_dir, flash) = flash_with_app("1.0.0");
        let flash = Arc::new(flash);
        let partitions = find_app(&flash).unwrap().partitions;
        let mut store = open(flash.clone(), &partitions);
        store.save(Item::Settings, b"settings").unwrap();
        store.save(Item::Calibration, b"calibration").unwrap();
        store.claim(1);
        store.push(b"reading").unwrap();
        store.save_pending_key(b"a key that waits").unwrap();

        let mut store = open(flash.clone(), &partitions);
        assert_eq!(store.load(Item::Settings).unwrap(), b"settings");
        assert_eq!(store.load(Item::Calibration).unwrap(), b"calibration");
        store.claim(1);
        assert_eq!(store.oldest().unwrap().record, b"reading");
        let holds = |text: &[u8]| {
            let chip = flash.read(0, FLASH_BYTES).unwrap();
            let place = chip.windows(text.len()).position(|window| window == text)? as u32;
            partitions
                .iter()
                .find(|one| (one.offset..one.offset + one.len).contains(&place))
                .map(|one| one.label.clone())
        };
        assert_eq!(holds(b"settings"), Some("nvs".to_owned()));
        assert_eq!(holds(b"calibration"), Some("calib".to_owned()));
        assert_eq!(holds(b"reading"), Some("backlog".to_owned()));
        assert_eq!(holds(b"a key that waits"), Some("nvs".to_owned()));
        store.erase_credentials().unwrap();
        assert_eq!(holds(b"a key that waits"), None);
    }

    #[test]
    fn a_table_without_the_partitions_keeps_nothing() {
        let (_dir, flash) = flash_with_app("1.0.0");
        let store = open(Arc::new(flash), &[]);
        assert!(!store.is_usable());
    }
}
