//! How the items of the store are written: a version byte, then postcard.

use alloc::{format, vec, vec::Vec};

use coldbench_protocol::Refusal;
use serde::{Serialize, de::DeserializeOwned};

use crate::hardware::{Item, Store, StoreError};

/// Form in which items are kept; another one is read as "nothing kept".
const VERSION: u8 = 1;

/// What the store holds; `None` when there is nothing, or nothing that this firmware can read.
pub(crate) fn load<T: DeserializeOwned>(item: Item, store: &mut impl Store) -> Option<T> {
    let kept = store.load(item)?;
    match kept.split_first() {
        Some((&VERSION, bytes)) => postcard::from_bytes(bytes).ok(),
        _ => None,
    }
}

/// Keeps a value and makes sure that it can be read back.
pub(crate) fn save<T: Serialize>(item: Item, value: &T, store: &mut impl Store) -> Result<(), Refusal> {
    let kept = encode(value)?;
    store.save(item, &kept).map_err(refusal)?;
    if store.load(item).as_ref() == Some(&kept) { Ok(()) } else { Err(not_read_back()) }
}

/// What was written does not read back.
pub(crate) fn not_read_back() -> Refusal {
    Refusal::Storage("what was read back is not what was written".into())
}

/// A failure of the store as the tool is told it.
pub(crate) fn refusal(error: StoreError) -> Refusal {
    Refusal::Storage(format!("{error}"))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let kept = postcard::to_extend(value, vec![VERSION]).map_err(|_| refusal(StoreError::Full))?;
    if kept.len() > Item::MAX_LEN {
        return Err(refusal(StoreError::Full));
    }
    Ok(kept)
}
