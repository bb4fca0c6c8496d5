//! What can be wrong before a job gets anywhere, and that it is told with what to do about it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use coldbench::{
    adapters::board::SerialBoards,
    app::station::What,
    commission::events::JobOutcome,
    domain::Problem,
    ports::board::{Boards, OpenOptions},
};

use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};
use sha2::{Digest as _, Sha256};

use crate::{
    depot::{Depot, Screen},
    words,
};

/// Nobody listens there without being root.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_damaged_image_is_refused_with_its_reason() {
    let depot = Depot::with_boards(1);
    let copy = depot.folder().join("firmware");
    damaged_image(&copy);
    depot.set_site("firmware", copy.display().to_string().into());
    refused(&depot, "truck-board.bin");
}

#[test]
fn an_image_for_another_chip_is_refused_before_anything_is_written() {
    let depot = Depot::with_boards(1);
    let copy = depot.folder().join("firmware");
    copy_image(&copy);
    let manifest = copy.join("manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("\"esp32c3\""), "{text}");
    let key = sign_again(&manifest, &text.replace("\"esp32c3\"", "\"esp32s3\""));
    depot.set_site("firmware", copy.display().to_string().into());
    depot.set_site("firmware_key", key.display().to_string().into());
    refused(&depot, "not for esp32s3");
}

/// The order is refused with a problem of the image, and the board is left alone.
fn refused(depot: &Depot, about: &str) {
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.wait("refusal", |screen| screen.state().notices.iter().any(|notice| notice.problem.is_some()));
    let refusal = screen.state().notices.iter().find_map(|notice| notice.problem.clone()).unwrap();
    assert!(refusal.code.starts_with("image.") && refusal.sentence.contains(about), "{refusal}");
    told(&mut screen, &refusal);
    let is_untouched = screen.station(port).is_some_and(|station| station.run.is_none());
    assert!(is_untouched, "nothing was begun");
}

#[test]
fn a_busy_port_says_so_and_is_looked_at_once_it_is_free() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let other = SerialBoards::new(vec![port.clone()]);
    let held = depot.block_on(other.open(port, OpenOptions::default())).unwrap();
    let mut screen = depot.open();
    screen.wait_until(port, "busy port", |is| matches!(is, What::CannotOpen(problem) if problem.code == "port.busy"));
    let Some(What::CannotOpen(problem)) = screen.station(port).map(|station| station.is.clone()) else {
        panic!("the port is free already")
    };
    assert!(problem.sentence.contains("another program"), "{problem}");
    told(&mut screen, &problem);
    drop(held);
    screen.wait_until(port, "new board", |is| *is == What::New);
}

#[test]
fn a_login_that_is_not_taken_is_told_at_once_and_by_the_job() {
    let mut depot = Depot::with_boards(1);
    depot.key.1 = "0".repeat(40);
    let mut screen = depot.open();
    screen.wait_for(words::NOT_SIGNED_IN);
    let problem = fails_in_the_cloud(&depot, &mut screen);
    assert_eq!(problem.code, "cloud.login-expired");
}

#[test]
fn a_cloud_that_is_not_reached_is_told_at_once_and_by_the_job() {
    let depot = Depot::with_boards(1);
    depot.set_site("aws_endpoint_url", NOBODY.into());
    let mut screen = depot.open();
    screen.wait_for(words::NOT_SIGNED_IN);
    let problem = fails_in_the_cloud(&depot, &mut screen);
    assert_eq!(problem.code, "cloud.unreachable");
}

/// The job ends with a problem of the cloud, and the board is as it was.
fn fails_in_the_cloud(depot: &Depot, screen: &mut Screen) -> Problem {
    let port = &depot.ports[0];
    screen.begin(port);
    screen.wait_for_end(port, JobOutcome::Failed);
    screen.wait_for(words::FAIL);
    let problem = screen.ended(port).unwrap().problem.clone().unwrap();
    told(screen, &problem);
    problem
}

/// The sentence and the advice are on the screen.
fn told(screen: &mut Screen, problem: &Problem) {
    screen.wait_for(&problem.sentence);
    screen.wait_for(&problem.advice);
}

/// A copy of the shipped image whose program has another byte in it.
fn damaged_image(copy: &Path) {
    copy_image(copy);
    let program = copy.join("truck-board.bin");
    let mut bytes = fs::read(&program).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&program, bytes).unwrap();
}

/// Signs a manifest with a key of the site's own, as `firmware/build --sign` does; the public key's file.
fn sign_again(manifest: &Path, text: &str) -> PathBuf {
    let unsigned: String = text.split_inclusive('\n').filter(|line| !line.starts_with("signature = ")).collect();
    let secret = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = secret.verifying_key();
    let id = hex::encode(&Sha256::digest(public.to_public_key_der().unwrap())[..16]);
    let signature: Signature = secret.sign(unsigned.as_bytes());
    let (values, parts) = unsigned.split_once("\n[[").unwrap();
    let signature = hex::encode(signature.to_bytes());
    fs::write(manifest, format!("{values}signature = \"{id}:{signature}\"\n\n[[{parts}")).unwrap();
    let file = manifest.with_file_name("site-key.pub");
    fs::write(&file, public.to_public_key_pem(Default::default()).unwrap()).unwrap();
    file
}

fn copy_image(copy: &Path) {
    fs::create_dir(copy).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/firmware");
    for entry in fs::read_dir(shipped).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
}
