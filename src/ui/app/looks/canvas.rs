//! Paints what the window would give to a graphics card into memory, so that its pictures are the same on every machine.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use eframe::egui::{
    Color32, ColorImage, Context, FullOutput, ImageData, Mesh, Pos2, Rect, TextureId, TexturesDelta,
    epaint::{ImageDelta, Primitive, Vertex},
};
use egui_kittest::TestRenderer;

/// The textures of a window, and the way from triangles to pixels. Clones share their textures.
#[derive(Clone, Default)]
pub struct Canvas(Rc<RefCell<HashMap<TextureId, ColorImage>>>);

impl TestRenderer for Canvas {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        let mut textures = self.0.borrow_mut();
        for (id, changes) in delta.set.drain() {
            for change in changes {
                take(&mut textures, id, change);
            }
        }
        for id in delta.free.drain() {
            textures.remove(&id);
        }
    }
}

fn take(textures: &mut HashMap<TextureId, ColorImage>, id: TextureId, change: ImageDelta) {
    let ImageData::Color(image) = change.image;
    let Some([left, top]) = change.pos else {
        textures.insert(id, image.as_ref().clone());
        return;
    };
    let texture = textures.get_mut(&id).expect("a texture is made before it is changed");
    let (width, [across, down]) = (texture.size[0], image.size);
    for row in 0..down {
        let start = (top + row) * width + left;
        texture.pixels[start..start + across].copy_from_slice(&image.pixels[row * across..(row + 1) * across]);
    }
}

impl Canvas {
    /// The picture of a frame.
    pub fn picture(&self, context: &Context, output: &FullOutput) -> ColorImage {
        let scale = output.pixels_per_point;
        let size = context.viewport_rect().size() * scale;
        let mut picture = ColorImage::filled([size.x.round() as usize, size.y.round() as usize], Color32::BLACK);
        for clipped in context.tessellate(output.shapes.clone(), scale) {
            let Primitive::Mesh(mesh) = clipped.primitive else { continue };
            let textures = self.0.borrow();
            let texture = textures.get(&mesh.texture_id).expect("what is painted has its texture");
            paint(&mut picture, texture, &mesh, clipped.clip_rect * scale, scale);
        }
        picture
    }
}

fn paint(picture: &mut ColorImage, texture: &ColorImage, mesh: &Mesh, clip: Rect, scale: f32) {
    for corners in mesh.indices.chunks_exact(3) {
        let [a, b, c] = [corners[0], corners[1], corners[2]].map(|index| mesh.vertices[index as usize]);
        triangle(picture, texture, [a, b, c].map(|vertex| Vertex { pos: vertex.pos * scale, ..vertex }), clip);
    }
}

/// A pixel belongs to the triangle its middle is in; one on an edge that two triangles share belongs to one of them.
fn triangle(picture: &mut ColorImage, texture: &ColorImage, [a, mut b, mut c]: [Vertex; 3], clip: Rect) {
    let mut area = cross(a.pos, b.pos, c.pos);
    if area < 0.0 {
        std::mem::swap(&mut b, &mut c);
        area = -area;
    }
    if area == 0.0 {
        return;
    }
    let [width, height] = picture.size;
    let bounds = Rect::from_points(&[a.pos, b.pos, c.pos]).intersect(clip);
    let first = |edge: f32| (edge - 0.5).ceil().max(0.0) as usize;
    let past = |edge: f32, most: usize| ((edge - 0.5).ceil().max(0.0) as usize).min(most);
    for y in first(bounds.top())..past(bounds.bottom(), height) {
        for x in first(bounds.left())..past(bounds.right(), width) {
            let at = Pos2::new(x as f32 + 0.5, y as f32 + 0.5);
            let [of_a, of_b, of_c] = [(b, c), (c, a), (a, b)].map(|(from, to)| {
                let side = cross(from.pos, to.pos, at);
                let is_in = side > 0.0 || side == 0.0 && is_top_left(from.pos, to.pos);
                is_in.then_some(side / area)
            });
            let (Some(of_a), Some(of_b), Some(of_c)) = (of_a, of_b, of_c) else { continue };
            let mix = |pick: &dyn Fn(&Vertex) -> f32| pick(&a) * of_a + pick(&b) * of_b + pick(&c) * of_c;
            let texel = sample(texture, mix(&|vertex| vertex.uv.x), mix(&|vertex| vertex.uv.y));
            let mut source = [0.0; 4];
            for (channel, value) in source.iter_mut().enumerate() {
                *value = mix(&|vertex| f32::from(vertex.color.to_array()[channel])) * texel[channel] / 255.0;
            }
            let pixel = &mut picture.pixels[y * width + x];
            let below = pixel.to_array();
            let keep = 1.0 - source[3] / 255.0;
            let [red, green, blue] =
                [0, 1, 2].map(|channel| (source[channel] + f32::from(below[channel]) * keep).round().min(255.0) as u8);
            *pixel = Color32::from_rgb(red, green, blue);
        }
    }
}

/// Twice the area of a triangle; positive when it turns right on a screen whose y grows downwards.
fn cross(a: Pos2, b: Pos2, c: Pos2) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

fn is_top_left(from: Pos2, to: Pos2) -> bool {
    from.y == to.y && to.x > from.x || to.y < from.y
}

/// The texture between its four nearest texels.
fn sample(texture: &ColorImage, u: f32, v: f32) -> [f32; 4] {
    let [width, height] = texture.size;
    let (x, y) = (u * width as f32 - 0.5, v * height as f32 - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right_share, bottom_share) = (x - left, y - top);
    let at = |dx: f32, dy: f32| {
        let column = ((left + dx).max(0.0) as usize).min(width - 1);
        let row = ((top + dy).max(0.0) as usize).min(height - 1);
        texture.pixels[row * width + column].to_array().map(f32::from)
    };
    if right_share == 0.0 && bottom_share == 0.0 {
        return at(0.0, 0.0);
    }
    let (nw, ne, sw, se) = (at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0));
    std::array::from_fn(|channel| {
        let top = nw[channel] + (ne[channel] - nw[channel]) * right_share;
        let bottom = sw[channel] + (se[channel] - sw[channel]) * right_share;
        top + (bottom - top) * bottom_share
    })
}
