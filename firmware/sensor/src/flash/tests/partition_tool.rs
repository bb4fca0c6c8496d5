//! The NVS partition against the crate `esp-nvs-partition-tool`, which makes and reads whole images. ESP-IDF's own
//! generator is asked in `tests/independent/test_nvs.py`.

use alloc::string::String;

use esp_nvs_partition_tool::{DataValue, EntryContent, NvsPartition};

use super::{identity::*, *};

/// The value of a key; there is one at most.
fn value<'a>(partition: &'a NvsPartition, namespace: &str, key: &str) -> Option<&'a DataValue> {
    let mut found = partition.entries.iter().filter(|entry| entry.namespace == namespace && entry.key == key);
    let entry = found.next()?;
    assert!(found.next().is_none(), "{namespace} {key} is there twice");
    match &entry.content {
        EntryContent::Data(value) => Some(value),
        EntryContent::File { .. } => None,
    }
}

#[test]
fn the_partition_tool_reads_what_the_board_wrote_and_the_reverse() {
    for identities in 1..=3 {
        let flash = installed(identities);
        let range = NVS_START as usize..(NVS_START + MIN_NVS_LEN) as usize;
        let partition = NvsPartition::try_from_bytes(&flash.bytes[range.clone()]).unwrap();

        let (slot, other) = match value(&partition, "coldbench", "active") {
            Some(DataValue::U8(1)) => ("id_a", "id_b"),
            Some(DataValue::U8(2)) => ("id_b", "id_a"),
            unknown => panic!("{unknown:?}"),
        };
        let expected = identity(identities);
        let text = |text: &str| DataValue::String(String::from(text));
        assert_eq!(value(&partition, slot, "thing"), Some(&text(&expected.thing_name)));
        assert_eq!(value(&partition, slot, "endpoint"), Some(&text(&expected.endpoint)));
        assert_eq!(value(&partition, slot, "port"), Some(&DataValue::U16(expected.port)));
        assert_eq!(value(&partition, slot, "cert"), Some(&DataValue::Binary(expected.certificate_chain_der.concat())));
        assert_eq!(value(&partition, slot, "ca"), Some(&DataValue::Binary(expected.ca_der.concat())));
        assert!(value(&partition, slot, "key") == Some(&DataValue::Binary(expected.key_pkcs8_der.to_vec())));
        assert!(!partition.entries.iter().any(|entry| entry.namespace == other));

        let mut theirs = ImitatedFlash::new();
        theirs.bytes[range].copy_from_slice(&partition.generate_partition(MIN_NVS_LEN as usize).unwrap());
        let mut flash = board_flash(theirs);
        assert!(same(&flash.load_identity().unwrap(), &expected));
        assert_eq!(flash.load_pending_key(), Some(key(100)));
        assert_eq!(flash.load(Item::Settings).unwrap(), b"settings");
    }
}
