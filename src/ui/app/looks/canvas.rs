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
    let past = |edge: f32, most: usize| first(edge).min(most);
    // Most of a screen is filled with one colour.
    let is_plain = [b, c].iter().all(|vertex| vertex.color == a.color && vertex.uv == a.uv);
    let plain = is_plain.then(|| source(texture, a.color.to_array().map(f32::from), a.uv));
    for y in first(bounds.top())..past(bounds.bottom(), height) {
        let middle = y as f32 + 0.5;
        let (mut left, mut right) = (first(bounds.left()), past(bounds.right(), width));
        for (from, to) in [(a.pos, b.pos), (b.pos, c.pos), (c.pos, a.pos)] {
            (left, right) = cut((left, right), from, to, middle);
        }
        if left >= right {
            continue;
        }
        let row = &mut picture.pixels[y * width + left..y * width + right];
        match plain {
            Some(source) if source[3] >= 255.0 => row.fill(over(Color32::BLACK, source)),
            Some(source) => row.iter_mut().for_each(|pixel| *pixel = over(*pixel, source)),
            None => {
                for (index, pixel) in row.iter_mut().enumerate() {
                    let at = Pos2::new((left + index) as f32 + 0.5, middle);
                    let shares = [cross(b.pos, c.pos, at), cross(c.pos, a.pos, at), cross(a.pos, b.pos, at)];
                    *pixel = over(*pixel, mixed(texture, [&a, &b, &c], shares.map(|side| side / area)));
                }
            }
        }
    }
}

/// The part of a row of pixels that lies on the inner side of an edge.
fn cut((left, right): (usize, usize), from: Pos2, to: Pos2, middle: f32) -> (usize, usize) {
    let rise = to.y - from.y;
    if rise == 0.0 {
        let side = (to.x - from.x) * (middle - from.y);
        let is_in = side > 0.0 || side == 0.0 && to.x > from.x;
        return if is_in { (left, right) } else { (right, right) };
    }
    // Where the edge crosses the row, counted in middles of pixels.
    let crossing = from.x + (middle - from.y) * (to.x - from.x) / rise - 0.5;
    if rise < 0.0 {
        // A left edge, and what lies on it belongs to it.
        (left.max(crossing.ceil().max(0.0) as usize), right)
    } else {
        (left, right.min(crossing.ceil().max(0.0) as usize))
    }
}

fn mixed(texture: &ColorImage, corners: [&Vertex; 3], shares: [f32; 3]) -> [f32; 4] {
    let mut color = [0.0; 4];
    let mut uv = Pos2::ZERO;
    for (vertex, share) in corners.into_iter().zip(shares) {
        for (channel, value) in color.iter_mut().zip(vertex.color.to_array()) {
            *channel += f32::from(value) * share;
        }
        uv += vertex.uv.to_vec2() * share;
    }
    source(texture, color, uv)
}

fn source(texture: &ColorImage, color: [f32; 4], uv: Pos2) -> [f32; 4] {
    let texel = sample(texture, uv.x, uv.y);
    std::array::from_fn(|channel| color[channel] * texel[channel] / 255.0)
}

/// A colour with its share already in it, over an opaque one.
fn over(below: Color32, [red, green, blue, alpha]: [f32; 4]) -> Color32 {
    let keep = 1.0 - alpha / 255.0;
    let mix = |above: f32, below: u8| (above + f32::from(below) * keep).round().min(255.0) as u8;
    Color32::from_rgb(mix(red, below.r()), mix(green, below.g()), mix(blue, below.b()))
}

/// Twice the area of a triangle; positive when it turns right on a screen whose y grows downwards.
fn cross(a: Pos2, b: Pos2, c: Pos2) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
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
