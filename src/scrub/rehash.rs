//! Reading data back and comparing its hashes with those of the upload.

use super::{Finding, FindingKind, Progress, StoreReport};
use crate::{
    db::Db,
    digest::{Digester, Digests},
    error::Result,
    image::Image,
    store::{Entry, StoreError, StoreErrorKind},
};

/// Bytes of one read.
const PIECE: usize = 4 << 20;

/// The hash of an image whose algorithm is not known here stands on its md5 alone.
const KNOWN: [&str; 4] = ["sha512", "sha256", "sha1", "md5"];

/// Hashes `count` of the images in `whole`, drawn at random.
pub(super) async fn sample(
    db: &Db,
    entry: &Entry,
    mut whole: Vec<String>,
    count: usize,
    report: &mut StoreReport,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<()> {
    let of = count.min(whole.len());
    for done in 0..of {
        let drawn = rand::random_range(done..whole.len());
        whole.swap(done, drawn);
        let Some(id) = whole.get(done) else { break };
        let tell = |bytes| progress(Progress { store: entry.id(), done, of, bytes });
        let Some(image) = db.image(id).await? else { continue };
        let Some(url) = url_in(&image, entry.id()) else { continue };
        let verdict = match hash(entry, &url, &image, report, &tell).await {
            Ok(digests) => differs(&image, &digests).map(|detail| (FindingKind::Corrupt, detail)),
            Err(e) if e.kind == StoreErrorKind::NotFound => {
                Some((FindingKind::Lost, "it went while it was read".into()))
            }
            Err(e) => Some((FindingKind::Unreadable, e.to_string())),
        };
        if let Some((kind, detail)) = verdict
            // Who deletes an image takes the data from under the reader.
            && db.image(id).await?.is_some_and(|now| url_in(&now, entry.id()).as_deref() == Some(&url))
        {
            report.findings.push(Finding { kind, name: id.clone(), size: image.size, detail, deleted: false });
        }
    }
    if of > 0 {
        progress(Progress { store: entry.id(), done: of, of, bytes: report.hashed_bytes });
    }
    Ok(())
}

fn url_in(image: &Image, store: &str) -> Option<String> {
    image.locations.iter().find(|l| l.store == store).map(|l| l.url.clone())
}

async fn hash(
    entry: &Entry,
    url: &str,
    image: &Image,
    report: &mut StoreReport,
    tell: &(dyn Fn(u64) + Send + Sync),
) -> Result<Digests, StoreError> {
    let fault = |e: crate::Error| StoreError::temporary(StoreErrorKind::Unexpected, e.to_string());
    let algorithm = image.os_hash_algo.as_deref().filter(|name| KNOWN.contains(name)).unwrap_or("md5");
    let mut digester = Digester::start(algorithm).map_err(fault)?;
    let mut reader = entry.store().open(url).await?;
    let (size, mut at) = (reader.size(), 0);
    while at < size {
        tell(report.hashed_bytes);
        let piece = reader.read_at(at, PIECE).await?;
        if piece.is_empty() {
            return Err(StoreError::permanent(
                StoreErrorKind::Unexpected,
                format!("it ends after {at} of {size} bytes"),
            ));
        }
        at += piece.len() as u64;
        report.hashed_bytes += piece.len() as u64;
        digester.update(piece).await;
    }
    report.hashed += 1;
    digester.finish().await.map_err(fault)
}

/// Which hash is not that of the upload.
fn differs(image: &Image, digests: &Digests) -> Option<String> {
    let other = |want: &Option<String>, got: &str| want.as_ref().is_some_and(|want| !want.eq_ignore_ascii_case(got));
    if image.os_hash_algo.as_deref() == Some(&digests.algo) && other(&image.os_hash_value, &digests.value) {
        return Some(format!("its {} is not that of the upload", digests.algo));
    }
    other(&image.checksum, &digests.md5).then(|| "its md5 is not that of the upload".to_owned())
}
