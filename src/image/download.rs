//! Read the data of an image.

use std::sync::Arc;

use super::{
    Image, Location, Status,
    show::load,
    stores::{check_known, ranked, readable},
};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    error::{Error, Kind, Result},
    notify, protect,
    store::{AnyCopy, Reader},
};

/// An image open for reading.
pub struct Download {
    /// As the caller may see it.
    pub image: Image,
    /// The data.
    pub reader: Box<dyn Reader>,
    /// Bytes of the data.
    pub size: u64,
    /// To be told how it ended.
    pub receipt: Receipt,
}

/// Opens the data of an image at the best copy: those of the stores in `prefer` first, in that order, then by weight;
/// stores that are down come last. When a copy fails midway, reading goes on from the next.
/// Only copies in stores that the caller may read from count. `None` when the image has no data yet.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy, `Invalid` for a store in `prefer` that the caller does not know of, `Unavailable` when no copy can be
/// opened.
pub async fn download(app: &Arc<App>, ctx: &Context, id: &str, prefer: &[String]) -> Result<Option<Download>> {
    let image = load(app, id).await?;

    // authorize
    authz::check_image(ctx, Action::DownloadImage, &image)?;
    if !prefer.is_empty() {
        authz::check_image(ctx, Action::DownloadFromStore, &image)?;
        for store in prefer {
            check_known(app, ctx, store, Kind::Invalid)?;
        }
    }
    if !matches!(image.status, Status::Active | Status::Deactivated) || image.locations.is_empty() {
        return Ok(None);
    }

    // store
    let reader = open_best(app, &image, &readable(app, ctx, &image)?, prefer).await?;
    let size = reader.size();
    let visible = protect::visible(ctx, image.clone())?;
    let receipt = Receipt { app: app.clone(), ctx: ctx.clone(), image };
    Ok(Some(Download { image: visible, reader, size, receipt }))
}

/// The best copy, with the others to fall back to.
async fn open_best(app: &App, image: &Image, copies: &[&Location], prefer: &[String]) -> Result<Box<dyn Reader>> {
    match AnyCopy::open(image.size, ranked(app, copies, prefer)).await {
        Ok(reader) => Ok(Box::new(reader)),
        Err(error) => {
            let text = "No copy of the image can be read now.";
            Err(Error::unavailable(text, std::time::Duration::from_secs(10)).with_source(error))
        }
    }
}

/// Tells the notifier how a download ended.
pub struct Receipt {
    app: Arc<App>,
    ctx: Context,
    image: Image,
}

impl Receipt {
    /// Records that `sent` of `expected` bytes went out (event `image.send`).
    pub fn close(self, sent: u64, expected: u64) {
        let Self { app, ctx, image } = self;
        let receiver = notify::Receiver { project: ctx.project(), user: &ctx.caller.user_id };
        let event = notify::image_send(&image, sent, expected, receiver);
        tokio::spawn(async move { app.record(&[event]).await });
    }
}
