//! Names and URLs: `rbd://<fsid>/<pool>/<image>/<snapshot>`, each part percent-quoted with no safe characters.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::store::{StoreError, StoreErrorKind};

/// The snapshot that makes an image whole; clones hang on it.
pub(super) const SNAP: &str = "snap";
/// What Python's `quote` leaves as it is with no safe characters.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');
/// The longest name of an image: the name of the object that holds it is a little longer.
const NAME_MAX: usize = 200;

/// What a URL of this store means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub name: String,
    /// The old form names no snapshot: the image itself is read.
    pub snap: bool,
}

pub(super) fn render(fsid: &str, pool: &str, name: &str) -> String {
    let [fsid, pool, name, snap] = [fsid, pool, name, SNAP].map(|part| utf8_percent_encode(part, QUOTED));
    format!("rbd://{fsid}/{pool}/{name}/{snap}")
}

/// The place in this cluster and pool. Another cluster's or pool's is not ours, whoever says so.
pub(super) fn parse(url: &str, fsid: &str, pool: &str) -> Result<Place, StoreError> {
    let place = match parts(url).as_deref() {
        Some([name]) => Some(Place { name: name.clone(), snap: false }),
        Some([cluster, place, name, snap]) if cluster == fsid && place == pool && snap == SNAP => {
            Some(Place { name: name.clone(), snap: true })
        }
        _ => None,
    };
    let bad = || StoreError::permanent(StoreErrorKind::BadUrl, "the location is not one of this store");
    place.filter(|place| valid(&place.name)).ok_or_else(bad)
}

/// Pool and name of an image anywhere in this cluster. The old form does not say where it is.
pub(super) fn in_cluster(url: &str, fsid: &str) -> Option<(String, String)> {
    let [cluster, pool, name, snap] = <[String; 4]>::try_from(parts(url)?).ok()?;
    (cluster == fsid && snap == SNAP && !pool.is_empty() && valid(&name)).then_some((pool, name))
}

fn parts(url: &str) -> Option<Vec<String>> {
    let parts = url.strip_prefix("rbd://")?.split('/').take(5);
    parts.map(|part| percent_decode_str(part).decode_utf8().ok().map(Into::into)).collect()
}

/// Refuses what cannot be the name of one of our images.
pub(super) fn check(name: &str) -> Result<(), StoreError> {
    if valid(name) {
        Ok(())
    } else {
        Err(StoreError::permanent(StoreErrorKind::BadUrl, "the object's name is not valid"))
    }
}

pub(super) fn valid(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FSID: &str = "b6a5cf46-e338-4171-bf70-e5c8b674be1b";

    #[test]
    fn urls_are_quoted_as_glance_store_does() {
        let url = render(FSID, "images/50% ä", "a-1_x.y");
        assert_eq!(url, format!("rbd://{FSID}/images%2F50%25%20%C3%A4/a-1_x.y/snap"));
        assert_eq!(parse(&url, FSID, "images/50% ä").expect("ours"), Place { name: "a-1_x.y".into(), snap: true });
    }

    #[test]
    fn the_old_form_is_read() {
        assert_eq!(parse("rbd://a-1", FSID, "images").expect("ours"), Place { name: "a-1".into(), snap: false });
    }

    #[test]
    fn images_of_other_pools_are_found_in_the_same_cluster() {
        let url = render(FSID, "vms/1", "a");
        assert_eq!(in_cluster(&url, FSID), Some(("vms/1".to_owned(), "a".to_owned())));
        let other = FSID.replace('b', "c");
        let bad = [url.replace(FSID, &other), "rbd://a".into(), format!("{url}/x"), format!("rbd://{FSID}//a/snap")];
        for url in bad {
            assert_eq!(in_cluster(&url, FSID), None, "{url}");
        }
    }

    #[test]
    fn other_clusters_pools_and_forms_are_refused() {
        let other = FSID.replace('b', "c");
        let bad = [
            format!("rbd://{other}/images/a/snap"),
            format!("rbd://{}/images/a/snap", FSID.to_uppercase()),
            format!("rbd://{FSID}/vms/a/snap"),
            format!("rbd://{FSID}/images/a/other"),
            format!("rbd://{FSID}/images/a/snap/"),
            format!("rbd://{FSID}/images/a/snap/x"),
            format!("rbd://{FSID}/images//snap"),
            format!("rbd://{FSID}/images/a%2Fb/snap"),
            format!("rbd://{FSID}/images/%2e%2e/snap"),
            format!("rbd://{FSID}/images/a%00/snap"),
            format!("rbd://{FSID}/images/%FF/snap"),
            format!("rbd://{FSID}/images/a"),
            format!("rbd:///{FSID}/images/a/snap"),
            format!("RBD://{FSID}/images/a/snap"),
            "rbd://".to_owned(),
            "rbd://a/b".to_owned(),
            "rbd://a/b/c".to_owned(),
            "file:///a".to_owned(),
            String::new(),
        ];
        for url in bad {
            assert_eq!(parse(&url, FSID, "images").expect_err(&url).kind, StoreErrorKind::BadUrl, "{url}");
        }
    }
}
