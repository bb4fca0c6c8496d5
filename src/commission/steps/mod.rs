//! The steps, one file each.

pub(super) mod ask;
pub(super) mod boot;
pub(super) mod calibrate;
pub(super) mod claim;
pub(super) mod flash;
pub(super) mod identify;
pub(super) mod install;
pub(super) mod key;
pub(super) mod measure;
pub(super) mod preflight;
pub(super) mod prove;
pub(super) mod register;
pub(super) mod relay;
pub(super) mod seal;
