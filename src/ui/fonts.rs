//! The fonts that travel with the program: Inter in four weights for words, JetBrains Mono for numbers and addresses.

use std::sync::Arc;

use eframe::egui::{
    FontData, FontDefinitions, FontFamily,
    epaint::text::{FontTweak, HintingTarget, SmoothHinting},
};

use super::tokens::family;

const REGULAR: &str = "inter-regular";
const MONO: &str = "jetbrains-mono";

/// Fonts and families. The toolkit's own fonts stay behind ours, for signs that ours lack.
pub fn definitions() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let files: [(&str, &'static [u8]); 5] = [
        (REGULAR, include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        (family::MEDIUM, include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        (family::SEMIBOLD, include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
        (family::BOLD, include_bytes!("../../assets/fonts/Inter-Bold.otf")),
        (MONO, include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf")),
    ];
    for (name, bytes) in files {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes).tweak(crisp())));
        let mut stack = vec![name.to_owned()];
        stack.extend(fallback.iter().cloned());
        fonts.families.insert(FontFamily::Name(name.into()), stack);
    }
    for (target, name) in [(FontFamily::Proportional, REGULAR), (FontFamily::Monospace, MONO)] {
        fonts.families.entry(target).or_default().insert(0, name.to_owned());
    }
    fonts
}

/// Stems on whole pixels, for the coarse screens of depot laptops.
fn crisp() -> FontTweak {
    FontTweak {
        hinting_target: HintingTarget::Smooth(SmoothHinting {
            light: false,
            symmetric_rendering: true,
            preserve_linear_metrics: false,
        }),
        ..FontTweak::default()
    }
}
