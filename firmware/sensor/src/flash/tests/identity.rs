//! Identity and keys, in the NVS partition.

use coldbench_protocol::Network;

use super::*;

/// An identity that is another one for each number; its certificates are DER in form only.
pub(super) fn identity(number: u8) -> Connection {
    let der = |len: usize| {
        let mut der = vec![0x30, 0x82, (len >> 8) as u8, len as u8];
        der.resize(4 + len, number);
        der
    };
    Connection {
        thing_name: format!("truckSensor{number}"),
        endpoint: "abc-ats.iot.eu-central-1.amazonaws.com".into(),
        port: 8883 + u16::from(number),
        readings_topic: format!("dt/coldchain/depot1/truckSensor{number}/readings"),
        network: match number % 2 {
            0 => Network::None,
            _ => Network::WiFi { ssid: format!("depot {number}"), passphrase: "a secret phrase".into() },
        },
        certificate_chain_der: vec![der(400 + usize::from(number)), der(300)],
        ca_der: vec![der(350), der(260)],
        key_pkcs8_der: key(number),
    }
}

/// Bytes that are found nowhere else.
pub(super) fn key(number: u8) -> Zeroizing<Vec<u8>> {
    Zeroizing::new((0..138_u8).map(|index| index.wrapping_mul(29) ^ number).collect())
}

/// Identities have neither `Debug` nor `PartialEq`, so that no key gets into a log.
pub(super) fn same(one: &Connection, other: &Connection) -> bool {
    one.thing_name == other.thing_name
        && one.endpoint == other.endpoint
        && one.port == other.port
        && one.readings_topic == other.readings_topic
        && one.network == other.network
        && one.certificate_chain_der == other.certificate_chain_der
        && one.ca_der == other.ca_der
        && one.key_pkcs8_der == other.key_pkcs8_der
}

/// Whether part of a key lies in the partition: bytes from each of the entries that it takes.
fn shows_key(flash: &mut BoardFlash<ImitatedFlash>, number: u8) -> bool {
    let key = key(number);
    let bytes = &flash.flash().bytes[NVS_START as usize..(NVS_START + MIN_NVS_LEN) as usize];
    let (words, _) = bytes.as_chunks::<8>();
    let (parts, _) = key.as_chunks::<8>();
    words.iter().any(|word| parts.contains(word))
}

/// A chip with settings on which this many identities were installed, one after the other, and a key waits.
pub(super) fn installed(identities: u8) -> ImitatedFlash {
    let mut flash = board_flash(ImitatedFlash::new());
    flash.save(Item::Settings, b"settings").unwrap();
    for number in 1..=identities {
        flash.save_pending_key(&key(number)).unwrap();
        flash.save_identity(&identity(number)).unwrap();
    }
    flash.save_pending_key(&key(100)).unwrap();
    flash.flash().clone()
}

#[test]
fn the_checksum_is_the_librarys_own() {
    use esp_nvs::platform::{Crc, software_crc32};
    for init in [0, 1, u32::MAX, 0x1234_5678] {
        let ours = <nvs::Port<'_, ImitatedFlash> as Crc>::crc32(init, b"a reading");
        assert_eq!(ours, software_crc32(init, b"a reading"));
    }
}

#[test]
fn what_was_installed_last_counts_and_its_forerunners_are_gone() {
    for identities in 1..=12 {
        let mut flash = board_flash(installed(identities));
        assert!(same(&flash.load_identity().unwrap(), &identity(identities)));
        assert_eq!(flash.load_pending_key(), Some(key(100)));
        assert!(shows_key(&mut flash, identities) && shows_key(&mut flash, 100));
        for earlier in 1..identities {
            assert!(!shows_key(&mut flash, earlier), "key {earlier} of {identities}");
        }
    }
}

#[test]
fn an_installed_key_waits_no_longer() {
    let mut flash = board_flash(installed(1));
    flash.save_pending_key(&key(2)).unwrap();
    assert!(!shows_key(&mut flash, 100), "the key that was replaced");
    flash.save_identity(&identity(2)).unwrap();
    assert_eq!(flash.load_pending_key(), None);
}

#[test]
fn erased_credentials_leave_no_byte_behind() {
    for identities in 1..=4 {
        let mut flash = board_flash(installed(identities));
        flash.erase_credentials().unwrap();
        assert!(flash.load_identity().is_none() && flash.load_pending_key().is_none());
        for number in (1..=identities).chain([100]) {
            assert!(!shows_key(&mut flash, number));
        }
        let text = &flash.flash().bytes;
        assert!(!text.windows(15).any(|window| window == b"a secret phrase"));
        assert_eq!(flash.load(Item::Settings).unwrap(), b"settings");
        flash.save_identity(&identity(9)).unwrap();
        assert!(same(&flash.load_identity().unwrap(), &identity(9)));
    }
}

#[test]
fn a_loss_of_power_while_installing_leaves_the_old_or_the_new_identity() {
    for identities in [0, 2, 9] {
        let before = installed(identities);
        let mut was_new = false;
        after_each_cut(
            &before,
            |flash| flash.save_identity(&identity(50)),
            |steps, flash| {
                let found = flash.load_identity();
                let is_new = found.as_ref().is_some_and(|found| same(found, &identity(50)));
                let is_old = match (&found, identities) {
                    (None, 0) => true,
                    (None, _) => false,
                    (Some(found), _) => same(found, &identity(identities)),
                };
                assert!(is_new || is_old, "{identities} before, cut after {steps} steps");
                assert!(is_new || !was_new, "once new, it stays new");
                was_new = is_new;
                assert_eq!(flash.load(Item::Settings).unwrap(), b"settings");
                // The start cleared what does not count.
                let other = if is_new { identities } else { 50 };
                assert!(other == 0 || !shows_key(flash, other), "cut after {steps} steps");
                // Whatever lies there, the next one is installed.
                flash.save_identity(&identity(60)).unwrap();
                assert!(same(&flash.load_identity().unwrap(), &identity(60)));
            },
        );
        assert!(was_new);
    }
}

#[test]
fn a_loss_of_power_while_making_a_key_leaves_the_identity_alone() {
    after_each_cut(
        &installed(2),
        |flash| flash.save_pending_key(&key(70)),
        |steps, flash| {
            assert!(same(&flash.load_identity().unwrap(), &identity(2)), "cut after {steps} steps");
            let waiting = flash.load_pending_key().unwrap();
            assert!(waiting == key(70) || waiting == key(100), "cut after {steps} steps");
        },
    );
}

#[test]
fn a_loss_of_power_while_erasing_never_brings_an_older_identity_back() {
    for identities in [1, 3] {
        after_each_cut(
            &installed(identities),
            |flash| flash.erase_credentials(),
            |steps, flash| {
                let found = flash.load_identity();
                assert!(found.is_none_or(|found| same(&found, &identity(identities))), "cut after {steps} steps");
                assert_eq!(flash.load(Item::Settings).unwrap(), b"settings");
                if flash.load_identity().is_none() {
                    assert!(!shows_key(flash, identities), "what is cut short is finished at the start");
                }
                flash.erase_credentials().unwrap();
                assert!(flash.load_identity().is_none() && !shows_key(flash, identities) && !shows_key(flash, 100));
            },
        );
    }
}

#[test]
fn what_the_library_does_to_a_damaged_chip_a_loss_of_power_cannot_spoil() {
    // Cut twice: once while installing, then at every step of the start after it.
    let before = installed(3);
    for first_cut in (0..400).step_by(37) {
        let mut cut = board_flash(before.with_power_for(first_cut));
        let _ = cut.save_identity(&identity(50));
        after_each_start_cut(&cut.flash().with_power());
    }
}

fn after_each_start_cut(before: &ImitatedFlash) {
    for steps in 0.. {
        let mut cut = board_flash(before.with_power_for(steps));
        let _ = cut.load_identity();
        let was_cut = cut.flash().was_cut();
        let mut again = board_flash(cut.flash().with_power());
        let found = again.load_identity().unwrap();
        assert!(same(&found, &identity(3)) || same(&found, &identity(50)), "cut after {steps} steps");
        if !was_cut {
            return;
        }
    }
}

#[test]
fn the_values_of_a_lost_namespace_do_not_get_into_another_identity() {
    let whole = installed(1);
    for entry in 0..126 {
        // The first byte of an entry is the number of its namespace.
        let mut damaged = whole.clone();
        damaged.bytes[NVS_START as usize + 64 + 32 * entry] ^= 0x01;
        let mut flash = board_flash(damaged);
        flash.save_identity(&identity(76)).unwrap();
        assert!(same(&flash.load_identity().unwrap(), &identity(76)), "entry {entry}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Damage gives the identity as it was or none, never another one.
    #[test]
    fn damage_never_makes_another_identity(
        identities in 1_u8..4,
        damages in proptest::collection::vec((0..MIN_NVS_LEN as usize, any::<u8>()), 1..40),
    ) {
        let mut damaged = installed(identities);
        for (at, byte) in damages {
            damaged.bytes[NVS_START as usize + at] = byte;
        }
        let mut flash = board_flash(damaged);
        if let Some(found) = flash.load_identity() {
            prop_assert!(same(&found, &identity(identities)));
        }
        flash.save_identity(&identity(77)).unwrap();
        prop_assert!(same(&flash.load_identity().unwrap(), &identity(77)));
    }

    /// Bits that fall back to zero or one in the page headers and the entry states.
    #[test]
    fn damaged_page_headers_never_make_another_identity(
        identities in 1_u8..4,
        damages in proptest::collection::vec((0..12_usize, 0..64_usize, any::<u8>()), 1..12),
    ) {
        let mut damaged = installed(identities);
        for (page, at, byte) in damages {
            damaged.bytes[NVS_START as usize + page * SECTOR_LEN as usize + at] = byte;
        }
        let mut flash = board_flash(damaged);
        if let Some(found) = flash.load_identity() {
            prop_assert!(same(&found, &identity(identities)));
        }
        flash.erase_credentials().unwrap();
        prop_assert!(flash.load_identity().is_none());
    }
}
