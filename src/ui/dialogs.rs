//! Where a file goes or comes from, and what is prepared beside the screen.
//!
//! A path can always be typed; the system's own file dialog is a help that may be missing. It is opened by a thread of
//! its own, as are pictures and exports made, so the screen never waits for either.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use directories::UserDirs;
use eframe::egui::{Context, OpenUrl};

use super::{
    icons::Icon,
    view::View,
    widgets::{Answer, Button, Dialog, Field, check_box, entered, note},
};
use crate::{
    app::{
        command::Command,
        state::{AppState, Weight},
    },
    domain::JobId,
};

/// Results that may wait for the screen.
const RESULTS: usize = 8;

/// What a file is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// To be written with what was prepared.
    Write(Arc<[u8]>),
    /// The hand-over sheet of a job.
    Sheet(JobId),
    /// What support needs to see.
    Bundle,
    /// A site profile to use.
    OpenSite,
    /// The site profile to write.
    SaveSite(String),
    /// A file that the site profile names under this key.
    SiteKey(&'static str),
}

/// A file that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct FileAsk {
    title: &'static str,
    purpose: Purpose,
    name: String,
    path: String,
    opened_after: bool,
}

impl FileAsk {
    /// Asks for a file; the name is what is proposed in the user's own folder, empty for none.
    pub fn new(title: &'static str, purpose: Purpose, name: impl Into<String>) -> Self {
        let opened_after = matches!(purpose, Purpose::Sheet(_));
        FileAsk { title, purpose, name: name.into(), path: String::new(), opened_after }
    }

    fn is_read(&self) -> bool {
        matches!(self.purpose, Purpose::OpenSite | Purpose::SiteKey(_))
    }

    fn confirm(&self) -> &'static str {
        match self.purpose {
            Purpose::OpenSite => "Open",
            Purpose::SiteKey(_) => "Use it",
            _ => "Save",
        }
    }
}

/// What is done beside the screen.
#[derive(Debug)]
pub struct Errands {
    sender: SyncSender<Done>,
    done: Receiver<Done>,
    folder: PathBuf,
    picking: bool,
    to_open: Option<PathBuf>,
}

#[derive(Debug)]
enum Done {
    Picked(Option<PathBuf>),
    Prepared(FileAsk),
}

impl Default for Errands {
    fn default() -> Self {
        let (sender, done) = sync_channel(RESULTS);
        let dirs = UserDirs::new();
        let folder = dirs.map(|dirs| dirs.document_dir().unwrap_or(dirs.home_dir()).to_owned());
        Errands { sender, done, folder: folder.unwrap_or_default(), picking: false, to_open: None }
    }
}

impl Errands {
    /// Makes the bytes of a file beside the screen, then asks where it goes.
    pub fn prepare(
        &self,
        context: &Context,
        title: &'static str,
        name: String,
        make: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) {
        self.run(context, move || Done::Prepared(FileAsk::new(title, Purpose::Write(make().into()), name)));
    }

    /// The way to make the bytes of a file later, from another thread.
    pub fn later(&self, context: &Context) -> impl FnOnce(FileAsk) + Send + 'static {
        let (sender, context) = (self.sender.clone(), context.clone());
        move |ask| {
            // A window that is gone asks nothing more.
            let _ = sender.send(Done::Prepared(ask));
            context.request_repaint();
        }
    }

    fn run(&self, context: &Context, work: impl FnOnce() -> Done + Send + 'static) {
        let (sender, context) = (self.sender.clone(), context.clone());
        let work = move || {
            let _ = sender.send(work());
            context.request_repaint();
        };
        if let Err(error) = thread::Builder::new().name("errand".to_owned()).spawn(work) {
            tracing::warn!(%error, "no thread for work beside the screen");
        }
    }

    /// Opens the system's file dialog.
    fn pick(&mut self, context: &Context, ask: &FileAsk) {
        self.picking = true;
        let mut dialog = rfd::AsyncFileDialog::new().set_title(ask.title);
        let path = PathBuf::from(&ask.path);
        let folder = path.parent().filter(|folder| folder.is_absolute()).unwrap_or(&self.folder);
        dialog = dialog.set_directory(folder);
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            dialog = dialog.set_file_name(name);
        }
        let reads = ask.is_read();
        self.run(context, move || {
            let picked = async { if reads { dialog.pick_file().await } else { dialog.save_file().await } };
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let picked = runtime.ok().and_then(|runtime| runtime.block_on(picked));
            Done::Picked(picked.map(|file| file.path().to_owned()))
        });
    }
}

/// Takes what was done beside the screen, and asks for the file that is wanted.
pub fn show(context: &Context, state: &AppState, view: &mut View) {
    while let Ok(done) = view.errands.done.try_recv() {
        match done {
            Done::Prepared(ask) => view.file = Some(ask),
            Done::Picked(path) => {
                view.errands.picking = false;
                if let (Some(path), Some(ask)) = (path, &mut view.file) {
                    ask.path = path.display().to_string();
                }
            }
        }
    }
    open_saved(context, state, view);
    let Some(mut ask) = view.file.take() else { return };
    if !ask.name.is_empty() {
        ask.path = view.errands.folder.join(std::mem::take(&mut ask.name)).display().to_string();
    }
    let mut by_enter = false;
    let dialog = Dialog { title: ask.title, confirm: ask.confirm(), cancel: "Cancel", destructive: false };
    let answer = dialog.show(context, |ui| {
        let width = ui.available_width() - 28.0;
        let field = Field::new("File", &mut ask.path).mono().width(width).hint("Type its path, or browse").show(ui);
        by_enter = entered(ui, &field);
        let browse = Button::secondary("Browse…").icon(Icon::FolderOpen).enabled(!view.errands.picking);
        if ui.add(browse).clicked() {
            view.errands.pick(ui.ctx(), &ask);
        }
        if view.errands.picking {
            note(ui, "The system's file dialog is open. Without one, type the path");
        }
        if matches!(ask.purpose, Purpose::Sheet(_)) {
            check_box(ui, &mut ask.opened_after, "Open it for printing");
        }
    });
    let confirmed = answer == Some(Answer::Confirmed) || by_enter;
    match answer {
        Some(Answer::Cancelled) => {}
        _ if confirmed && !ask.path.trim().is_empty() => confirm(view, ask),
        _ => view.file = Some(ask),
    }
}

fn confirm(view: &mut View, ask: FileAsk) {
    let file = PathBuf::from(ask.path.trim());
    if ask.opened_after {
        view.errands.to_open = Some(file.clone());
    }
    match ask.purpose {
        Purpose::Write(bytes) => view.order(Command::SaveFile { file, bytes: bytes.to_vec() }),
        Purpose::Sheet(job) => view.order(Command::SaveSheet { job, file }),
        Purpose::Bundle => view.order(Command::SaveBundle { file }),
        Purpose::OpenSite => {
            view.site.text = None;
            view.order(Command::LoadSite { file: Some(file) });
        }
        Purpose::SaveSite(text) => view.order(Command::SaveSite { text, file: Some(file) }),
        Purpose::SiteKey(key) => view.site.put(&[key], &file.display().to_string()),
    }
}

/// Opens a sheet once the core has written it.
fn open_saved(context: &Context, state: &AppState, view: &mut View) {
    let Some(file) = &view.errands.to_open else { return };
    let words = format!("Saved {}", file.display());
    let is_saved = |notice: &&crate::app::state::Notice| notice.weight == Weight::Done && notice.text == words;
    if state.notices.iter().rev().take(4).any(|notice| is_saved(&notice)) {
        context.open_url(OpenUrl::new_tab(format!("file://{}", file.display())));
        view.errands.to_open = None;
    }
}
