//! Every word on the screen that a test looks for. A screen that changes its words is followed here.

/// Field for the truck's number.
pub const TRUCK: &str = "Truck";
/// Starts the job of a new board.
pub const COMMISSION: &str = "Commission";
/// Goes on with a half-done job.
pub const RESUME: &str = "Resume";
/// Goes on with a failed or cancelled job from its own screen.
pub const TRY_AGAIN: &str = "Try again";
/// Asks for the end of a job.
pub const CANCEL_JOB: &str = "Cancel job…";
/// Cancels with a usual reason.
pub const WRONG_TRUCK: &str = "Wrong truck";
/// Asks for the undoing of a job.
pub const UNDO: &str = "Undo…";
/// Confirms it.
pub const UNDO_NOW: &str = "Undo";
/// Puts a passed job away.
pub const NEXT_BOARD: &str = "Next board";
/// The word that is legible from three metres.
pub const PASS: &str = "PASS";
/// The other one.
pub const FAIL: &str = "FAIL";
/// What stands over an undone job.
pub const UNDONE: &str = "Everything the job did is taken back";
/// What stands over a cancelled job.
pub const CANCELLED: &str = "Cancelled before it was proven";
/// Chip in the top bar of a window without a login.
pub const NOT_SIGNED_IN: &str = "Not signed in";
/// Opens the readings of a board at its work.
pub const SEE_READINGS: &str = "See readings";
/// Looks at the boards anew.
pub const LOOK_AGAIN: &str = "Look again";
/// What an empty bench says.
pub const NO_BOARD: &str = "No board yet";
/// Banner over the boards while a job is open.
pub const NOT_FINISHED: &str = "1 job is not finished. Resume or undo it.";
/// Takes a reference point.
pub const CAPTURE: &str = "Capture";
/// Answers a question that needs no number.
pub const GO_ON: &str = "Go on";
/// Field for an instrument's number.
pub const SERIAL: &str = "Serial number";
/// Leaves a point out.
pub const LEAVE_OUT: &str = "Leave this out";
/// Takes the probe that was warmed.
pub const USE_PROBE: &str = "Use this probe";
/// Calibrates a board at its work.
pub const CALIBRATE_AGAIN: &str = "Calibrate again";
/// What the card of a board is called, up to its port.
pub const CARD: &str = "Board at ";
