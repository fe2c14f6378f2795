//! The right side of a check: a text of Python in which `%(name)s` stands for an attribute of the target.

/// A text with at most one attribute in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Template {
    Text(String),
    Attribute(String),
    Around { before: String, name: String, after: String },
}

/// # Errors
/// More than one attribute, and what Python refuses.
pub(super) fn read(text: &str) -> Result<Template, String> {
    let (mut before, mut found, mut rest) = (String::new(), None, text);
    while let Some((plain, after)) = rest.split_once('%') {
        before.push_str(plain);
        if let Some(after) = after.strip_prefix('%') {
            before.push('%');
            rest = after;
            continue;
        }
        let named = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
        let Some((name, after)) = named else { return Err(format!("`{text}` is no text that Python would fill in")) };
        if found.is_some() {
            return Err(format!("`{text}` puts more than one attribute into a text"));
        }
        found = Some((std::mem::take(&mut before), name.to_owned()));
        rest = after;
    }
    before.push_str(rest);
    Ok(match found {
        None => Template::Text(before),
        Some((start, name)) if start.is_empty() && before.is_empty() => Template::Attribute(name),
        Some((start, name)) => Template::Around { before: start, name, after: before },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes() {
        assert_eq!(read("100%%"), Ok(Template::Text("100%".into())));
        assert_eq!(read("%(owner)s"), Ok(Template::Attribute("owner".into())));
        let around = Template::Around { before: "a%".into(), name: "b".into(), after: "c".into() };
        assert_eq!(read("a%%%(b)sc"), Ok(around));
        for bad in ["%s", "%(a)d", "%(a", "50%", "%(a)s%(b)s"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
