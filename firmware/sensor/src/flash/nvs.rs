//! Identity and settings in the format of ESP-IDF's NVS library, which the vendor's tools read.
//!
//! | namespace | key | type | what |
//! |---|---|---|---|
//! | `coldbench` | `active` | u8 | which identity counts: 1 is `id_a`, 2 is `id_b`; absent, there is none |
//! | | `pending` | blob | key that waits for its certificate, PKCS#8 DER |
//! | | `settings` | blob | interval and thresholds, see [`crate::kept`] |
//! | `id_a`, `id_b` | `key` | blob | private key, PKCS#8 DER |
//! | | `cert` | blob | device certificate, then what stands between it and its CA, as DER one after the other |
//! | | `ca` | blob | the CAs of the broker, likewise |
//! | | `thing`, `endpoint`, `topic` | str | name of the thing, host name of the broker, topic of the readings |
//! | | `port` | u16 | port of the broker |
//! | | `ssid`, `passphrase` | str | the network; absent, the board has none |
//! | | `check` | u32 | CRC-32 over all values of the slot, so that a damaged slot is no identity |
//!
//! A new identity is written to the slot that does not count and read back; then `active`, a single entry, is set.
//! Before that write the old identity counts, after it the new one.
//!
//! The library only marks what is deleted. [`scrub`] overwrites whatever is marked, so that no key stays readable.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use coldbench_protocol::Network;
use crc::{CRC_32_ISO_HDLC, Crc};
use embedded_storage::nor_flash::{self, NorFlashError, NorFlashErrorKind};
use esp_nvs::{
    ENTRIES_PER_PAGE, ENTRY_STATE_BITMAP_SIZE, Get, ITEM_SIZE, Key, PAGE_HEADER_SIZE, PageState, Set,
    platform::software_crc32,
};
use x509_cert::der::{Decode, Encode, Header, SliceReader};
use zeroize::Zeroizing;

use super::{FlashError, NorFlash, SECTOR_LEN};
use crate::{hardware::StoreError, identity::Connection};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const COLDBENCH: Key = Key::from_str("coldbench");
const ACTIVE: Key = Key::from_str("active");
const PENDING: Key = Key::from_str("pending");
const SETTINGS: Key = Key::from_str("settings");

const KEY: Key = Key::from_str("key");
const CERTIFICATE: Key = Key::from_str("cert");
const CA: Key = Key::from_str("ca");
const THING: Key = Key::from_str("thing");
const ENDPOINT: Key = Key::from_str("endpoint");
const PORT: Key = Key::from_str("port");
const TOPIC: Key = Key::from_str("topic");
const SSID: Key = Key::from_str("ssid");
const PASSPHRASE: Key = Key::from_str("passphrase");
const CHECK: Key = Key::from_str("check");
const SLOT_KEYS: [Key; 10] = [KEY, CERTIFICATE, CA, THING, ENDPOINT, PORT, TOPIC, SSID, PASSPHRASE, CHECK];

/// Most certificates of one value.
const MAX_CERTIFICATES: usize = 8;

/// One of the two places for an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    A,
    B,
}

impl Slot {
    fn of(active: u8) -> Option<Self> {
        match active {
            1 => Some(Slot::A),
            2 => Some(Slot::B),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Slot::A => 1,
            Slot::B => 2,
        }
    }

    fn namespace(self) -> Key {
        const A: Key = Key::from_str("id_a");
        const B: Key = Key::from_str("id_b");
        match self {
            Slot::A => A,
            Slot::B => B,
        }
    }
}

/// The partition, open for a few operations. It is read anew each time: that is rare, and nothing stays in memory.
pub(super) struct Nvs<'a, F: NorFlash> {
    inner: esp_nvs::Nvs<Port<'a, F>>,
}

impl<'a, F: NorFlash> Nvs<'a, F> {
    pub(super) fn open(flash: &'a mut F, range: Range<u32>) -> Result<Self, StoreError> {
        let len = range.end.saturating_sub(range.start) as usize;
        let port = Port { flash, end: range.end };
        let inner = esp_nvs::Nvs::new(range.start as usize, len, port).map_err(|_| StoreError::Save)?;
        Ok(Nvs { inner })
    }

    pub(super) fn settings(&mut self) -> Option<Vec<u8>> {
        self.get(&COLDBENCH, &SETTINGS)
    }

    pub(super) fn set_settings(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.set(&COLDBENCH, &SETTINGS, bytes)
    }

    pub(super) fn pending_key(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.get::<Vec<u8>>(&COLDBENCH, &PENDING).map(Zeroizing::new)
    }

    pub(super) fn set_pending_key(&mut self, key_pkcs8_der: &[u8]) -> Result<(), StoreError> {
        self.set(&COLDBENCH, &PENDING, key_pkcs8_der)
    }

    /// The identity that counts.
    pub(super) fn identity(&mut self) -> Option<Connection> {
        let slot = self.active()?;
        self.read_slot(slot)
    }

    /// Keeps an identity in place of the one before, and forgets the key that waited.
    pub(super) fn set_identity(&mut self, identity: &Connection) -> Result<(), StoreError> {
        let slot = match self.active() {
            Some(Slot::A) => Slot::B,
            Some(Slot::B) | None => Slot::A,
        };
        // A slot that does not count may hold half of something; and where a namespace got lost by damage, the library
        // lets the next one made have its values.
        self.set(&slot.namespace(), &CHECK, 0_u32)?;
        self.clear(slot)?;
        let written = self.write_slot(slot, identity).and_then(|()| match self.read_slot(slot) {
            Some(read) if check_of(&read) == check_of(identity) => Ok(()),
            _ => Err(StoreError::Save),
        });
        if let Err(error) = written {
            // What it leaves behind is cleared by the next installation, too.
            let _ = self.clear(slot);
            return Err(error);
        }
        self.set(&COLDBENCH, &ACTIVE, slot.number())?;
        // The new identity counts; the rest is done again at the next start when it fails now.
        let _ = self.delete(&COLDBENCH, &PENDING);
        let _ = self.tidy();
        Ok(())
    }

    /// Forgets identity and keys, the switch first: what is cut short does not count any more.
    pub(super) fn erase_credentials(&mut self) -> Result<(), StoreError> {
        self.delete(&COLDBENCH, &ACTIVE)?;
        self.delete(&COLDBENCH, &PENDING)?;
        self.clear(Slot::A)?;
        self.clear(Slot::B)
    }

    /// Forgets what does not count: the other slot, and a key that waits although it is installed.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let active = self.active();
        for slot in [Slot::A, Slot::B] {
            if active != Some(slot) {
                self.clear(slot)?;
            }
        }
        let installed = self.identity().map(|identity| identity.key_pkcs8_der);
        if installed.is_some() && self.pending_key() == installed {
            self.delete(&COLDBENCH, &PENDING)?;
        }
        Ok(())
    }

    fn active(&mut self) -> Option<Slot> {
        self.get(&COLDBENCH, &ACTIVE).and_then(Slot::of)
    }

    fn read_slot(&mut self, slot: Slot) -> Option<Connection> {
        let slot = slot.namespace();
        let network = match self.get(&slot, &SSID) {
            Some(ssid) => Network::WiFi { ssid, passphrase: self.get(&slot, &PASSPHRASE)? },
            None => Network::None,
        };
        let found = Connection {
            thing_name: self.get(&slot, &THING)?,
            endpoint: self.get(&slot, &ENDPOINT)?,
            port: self.get(&slot, &PORT)?,
            readings_topic: self.get(&slot, &TOPIC)?,
            network,
            certificate_chain_der: split_ders(&self.get::<Vec<u8>>(&slot, &CERTIFICATE)?)?,
            ca_der: split_ders(&self.get::<Vec<u8>>(&slot, &CA)?)?,
            key_pkcs8_der: Zeroizing::new(self.get(&slot, &KEY)?),
        };
        (self.get(&slot, &CHECK) == Some(check_of(&found))).then_some(found)
    }

    fn write_slot(&mut self, slot: Slot, identity: &Connection) -> Result<(), StoreError> {
        let slot = slot.namespace();
        self.set(&slot, &KEY, identity.key_pkcs8_der.as_slice())?;
        self.set(&slot, &CERTIFICATE, identity.certificate_chain_der.concat().as_slice())?;
        self.set(&slot, &CA, identity.ca_der.concat().as_slice())?;
        self.set(&slot, &THING, identity.thing_name.as_str())?;
        self.set(&slot, &ENDPOINT, identity.endpoint.as_str())?;
        self.set(&slot, &PORT, identity.port)?;
        self.set(&slot, &TOPIC, identity.readings_topic.as_str())?;
        if let Network::WiFi { ssid, passphrase } = &identity.network {
            self.set(&slot, &SSID, ssid.as_str())?;
            self.set(&slot, &PASSPHRASE, passphrase.as_str())?;
        }
        self.set(&slot, &CHECK, check_of(identity))
    }

    fn clear(&mut self, slot: Slot) -> Result<(), StoreError> {
        SLOT_KEYS.iter().try_for_each(|key| self.delete(&slot.namespace(), key))
    }

    fn get<T>(&mut self, namespace: &Key, key: &Key) -> Option<T>
    where
        esp_nvs::Nvs<Port<'a, F>>: Get<T>,
    {
        self.inner.get(namespace, key).ok()
    }

    fn set<T>(&mut self, namespace: &Key, key: &Key, value: T) -> Result<(), StoreError>
    where
        esp_nvs::Nvs<Port<'a, F>>: Set<T>,
    {
        self.inner.set(namespace, key, value).map_err(|error| match error {
            esp_nvs::error::Error::FlashFull | esp_nvs::error::Error::ValueTooLong => StoreError::Full,
            _ => StoreError::Save,
        })
    }

    fn delete(&mut self, namespace: &Key, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(namespace, key).map_err(|_| StoreError::Save)
    }
}

/// Overwrites with zeros what is marked as deleted, and erases pages that are no pages. Both is what the library takes
/// for unused; afterwards nothing of it can be read from the chip. Writes nothing where nothing is left.
pub(super) fn scrub(flash: &mut impl NorFlash, range: Range<u32>) -> Result<(), StoreError> {
    let mut page = vec![0; SECTOR_LEN as usize];
    let pages = range.step_by(SECTOR_LEN as usize);
    pages.into_iter().try_for_each(|address| scrub_page(flash, address, &mut page)).map_err(|_| StoreError::Save)
}

fn scrub_page(flash: &mut impl NorFlash, address: u32, page: &mut [u8]) -> Result<(), FlashError> {
    flash.read(address, page)?;
    let (header, rest) = page.split_at(PAGE_HEADER_SIZE);
    let (states, entries) = rest.split_at(ENTRY_STATE_BITMAP_SIZE);
    if !is_page(header) {
        let is_blank = page.iter().all(|byte| *byte == 0xff);
        return if is_blank { Ok(()) } else { flash.erase_sector(address) };
    }
    for (index, entry) in entries.chunks_exact(ITEM_SIZE).enumerate().take(ENTRIES_PER_PAGE) {
        // Two bits for each entry: 11 is unused, 10 in use, the others deleted.
        let state = states.get(index / 4).map(|four| four >> (index % 4 * 2) & 0b11);
        if state.is_some_and(|state| state < 0b10) && entry.iter().any(|byte| *byte != 0) {
            let at = PAGE_HEADER_SIZE + ENTRY_STATE_BITMAP_SIZE + index * ITEM_SIZE;
            flash.program(address + at as u32, &[0; ITEM_SIZE])?;
        }
    }
    Ok(())
}

/// Whether the header is one of a page in use: a state that the library knows, and a CRC that fits.
fn is_page(header: &[u8]) -> bool {
    let word = |at: usize| header.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    let in_use = [PageState::Active, PageState::Full, PageState::Freeing];
    let state_fits = word(0).is_some_and(|state| in_use.iter().any(|known| *known as u32 == state));
    let checked = header.get(4..28).unwrap_or_default();
    state_fits && word(28) == Some(software_crc32(u32::MAX, checked))
}

/// The certificates that lie one after the other.
fn split_ders(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = Header::decode(&mut SliceReader::new(rest).ok()?).ok()?;
        let len = (header.encoded_len().ok()? + header.length).ok()?;
        let (der, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        if found.len() == MAX_CERTIFICATES {
            return None;
        }
        found.push(der.to_vec());
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

/// CRC-32 over every value, each with its length, so that nothing can move from one to the next.
fn check_of(identity: &Connection) -> u32 {
    let mut digest = CRC.digest();
    let mut add = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u32).to_le_bytes());
        digest.update(bytes);
    };
    add(&identity.key_pkcs8_der);
    add(&identity.certificate_chain_der.concat());
    add(&identity.ca_der.concat());
    add(identity.thing_name.as_bytes());
    add(identity.endpoint.as_bytes());
    add(&identity.port.to_le_bytes());
    add(identity.readings_topic.as_bytes());
    if let Network::WiFi { ssid, passphrase } = &identity.network {
        add(ssid.as_bytes());
        add(passphrase.as_bytes());
    }
    digest.finalize()
}

/// The chip as the library sees it.
pub(super) struct Port<'a, F> {
    flash: &'a mut F,
    /// End of the partition, as an address in the chip.
    end: u32,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<F> nor_flash::ErrorType for Port<'_, F> {
    type Error = FlashError;
}

impl<F: NorFlash> nor_flash::ReadNorFlash for Port<'_, F> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.end as usize
    }
}

impl<F: NorFlash> nor_flash::NorFlash for Port<'_, F> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR_LEN as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        (from..to).step_by(SECTOR_LEN as usize).try_for_each(|sector| self.flash.erase_sector(sector))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.program(offset, bytes)
    }
}

impl<F> esp_nvs::platform::Crc for Port<'_, F> {
    /// As zlib counts: `init` is the CRC of what came before.
    fn crc32(init: u32, data: &[u8]) -> u32 {
        let mut digest = CRC.digest_with_initial((!init).reverse_bits());
        digest.update(data);
        digest.finalize()
    }
}
