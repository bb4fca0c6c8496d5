//! A part of the screen as a PNG picture.

use eframe::egui::{ColorImage, Rect};

/// Cuts a part out of a screen, points to pixels, and compresses it; `None` where nothing of it is on the screen.
pub fn png(screen: &ColorImage, part: Rect, pixels_per_point: f32) -> Option<Vec<u8>> {
    let [width, height] = screen.size;
    let edge = |points: f32, most: usize| ((points * pixels_per_point).round().max(0.0) as usize).min(most);
    let (left, right) = (edge(part.left(), width), edge(part.right(), width));
    let (top, bottom) = (edge(part.top(), height), edge(part.bottom(), height));
    let size = (right.checked_sub(left)?, bottom.checked_sub(top)?);
    let (across, down) = (u32::try_from(size.0).ok()?, u32::try_from(size.1).ok()?);
    let rows = (top..bottom).filter_map(|row| screen.pixels.get(row * width + left..row * width + right));
    let pixels: Vec<u8> = rows.flatten().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, across, down);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use eframe::egui::{Color32, pos2};

    use super::*;

    #[test]
    fn the_part_is_cut_at_the_pixels_of_the_screen() {
        let mut screen = ColorImage::filled([8, 6], Color32::BLACK);
        screen.pixels[2 * 8 + 4] = Color32::WHITE;
        let part = Rect::from_min_max(pos2(2.0, 1.0), pos2(9.0, 2.0));
        let bytes = png(&screen, part, 2.0).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (4, 2));
        assert_eq!(pixels[..6], [255, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn a_part_beside_the_screen_is_no_picture() {
        let screen = ColorImage::filled([8, 6], Color32::BLACK);
        assert_eq!(png(&screen, Rect::from_min_max(pos2(20.0, 0.0), pos2(30.0, 4.0)), 1.0), None);
    }
}
