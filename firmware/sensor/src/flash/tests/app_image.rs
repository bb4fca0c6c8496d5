//! The digest of the app image.

use sha2::{Digest, Sha256};

use super::*;
use crate::flash::app_image;

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
    app_image::digest(|address, bytes| flash.read(address, bytes), partition, Sha256::new())
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
fn a_damaged_image_has_another_digest_and_a_cut_one_has_none() {
    let whole = image(&[&[7; 2000]]);
    let expected: [u8; 32] = Sha256::digest(&whole).into();
    for position in [0, 1, 23, 28, 40, 1999, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        assert_ne!(digest_of(&damaged, APP), Some(expected), "byte {position}");
    }
    let short = APP.start..APP.start + whole.len() as u32 - 1;
    assert_eq!(digest_of(&whole, short), None);
    assert_eq!(digest_of(&[], APP), None);
}

proptest! {
    #[test]
    fn any_image_header_is_survived(header in any::<[u8; 32]>()) {
        let mut image = image(&[&[7; 2000]]);
        image[2..32].copy_from_slice(&header[2..]);
        let _ = digest_of(&image, APP);
    }
}
