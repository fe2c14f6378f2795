//! The language of oslo.policy rules: check strings, and the older lists of lists.
//!
//! Words are parted by white space; parentheses stick to words; `not` binds closer than `and`, `and` closer than `or`.

/// Bytes of one rule.
const TEXT_MAX: usize = 64 << 10;
/// Parentheses within parentheses.
const DEPTH_MAX: usize = 64;

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `@`, and the empty rule.
    Always,
    /// `!`
    Never,
    /// `not …`
    Not(Box<Self>),
    /// `… and …`
    All(Vec<Self>),
    /// `… or …`
    Any(Vec<Self>),
    /// `role:NAME`
    Role(String),
    /// `rule:NAME`
    Rule(String),
    /// `LEFT:RIGHT`: an attribute of the credentials, or a literal, beside a text with `%(attribute)s` of the target.
    Compare {
        /// Name or literal.
        left: String,
        /// Text, with attributes of the target in it.
        right: String,
    },
    /// `http:…` and `https:…`: another service decides.
    Remote(String),
}

/// Reads a check string.
///
/// # Errors
/// What cannot be read. oslo.policy refuses everybody then, and says so in its log only.
pub fn parse(text: &str) -> Result<Check, String> {
    if text.is_empty() {
        return Ok(Check::Always);
    }
    if text.len() > TEXT_MAX {
        return Err(format!("longer than {TEXT_MAX} bytes"));
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, depth: 0 };
    let check = reader.any()?;
    match reader.tokens.first() {
        None => Ok(check),
        Some(extra) => Err(format!("{} is not expected there", extra.shown())),
    }
}

/// Reads a list of lists: one of the outer, all of the inner.
///
/// # Errors
/// As [`parse`].
pub fn parse_lists(lists: &[Vec<String>]) -> Result<Check, String> {
    if lists.is_empty() {
        return Ok(Check::Always);
    }
    let inner = |list: &Vec<String>| Ok(all(list.iter().map(|word| atom(word)).collect::<Result<_, String>>()?));
    Ok(any(lists.iter().filter(|list| !list.is_empty()).map(inner).collect::<Result<_, String>>()?))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Atom(Check),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::And => "`and`".into(),
            Self::Or => "`or`".into(),
            Self::Not => "`not`".into(),
            Self::Atom(check) => format!("the check {check:?}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let inner = word.trim_start_matches('(');
        tokens.extend((inner.len()..word.len()).map(|_| Token::Open));
        let bare = inner.trim_end_matches(')');
        match bare.to_ascii_lowercase().as_str() {
            "" => {}
            "and" => tokens.push(Token::And),
            "or" => tokens.push(Token::Or),
            "not" => tokens.push(Token::Not),
            _ => tokens.push(Token::Atom(atom(bare)?)),
        }
        tokens.extend((bare.len()..inner.len()).map(|_| Token::Close));
    }
    Ok(tokens)
}

fn atom(word: &str) -> Result<Check, String> {
    match word {
        "@" => return Ok(Check::Always),
        "!" => return Ok(Check::Never),
        _ => {}
    }
    let (left, right) = word.split_once(':').ok_or_else(|| format!("`{word}` has no `:`"))?;
    let (left, right) = (left.to_owned(), right.to_owned());
    Ok(match left.as_str() {
        "role" => Check::Role(right),
        "rule" => Check::Rule(right),
        "http" | "https" => Check::Remote(word.to_owned()),
        _ => Check::Compare { left, right },
    })
}

struct Reader<'t> {
    tokens: &'t [Token],
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, token: &Token) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first == token => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Result<Check, String> {
        let mut parts = vec![self.all()?];
        while self.take(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(any(parts))
    }

    fn all(&mut self) -> Result<Check, String> {
        let mut parts = vec![self.one()?];
        while self.take(&Token::And) {
            parts.push(self.one()?);
        }
        Ok(all(parts))
    }

    fn one(&mut self) -> Result<Check, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} levels deep"));
        }
        let check = if self.take(&Token::Not) {
            Check::Not(Box::new(self.one()?))
        } else if self.take(&Token::Open) {
            let inner = self.any()?;
            if !self.take(&Token::Close) {
                return Err("a `)` is missing".into());
            }
            inner
        } else {
            match self.tokens.split_first() {
                Some((Token::Atom(check), rest)) => {
                    self.tokens = rest;
                    check.clone()
                }
                Some((other, _)) => return Err(format!("a check is expected, not {}", other.shown())),
                None => return Err("a check is missing at the end".into()),
            }
        };
        self.depth -= 1;
        Ok(check)
    }
}

fn any(mut parts: Vec<Check>) -> Check {
    match parts.pop() {
        None => Check::Never,
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            Check::Any(parts)
        }
    }
}

fn all(mut parts: Vec<Check>) -> Check {
    match parts.pop() {
        None => Check::Always,
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            Check::All(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Check {
        Check::Role(name.into())
    }

    #[test]
    fn words_stick_to_parentheses_and_bind_as_in_python() {
        let expected = Check::Any(vec![
            role("a"),
            Check::All(vec![role("b"), Check::Not(Box::new(Check::Any(vec![role("c"), role("d")])))]),
        ]);
        assert_eq!(parse("role:a or role:b and not (role:c or role:d)").unwrap(), expected);
        assert_eq!(parse("((role:a)) OR ( role:b And NOT (role:c or role:d ) )").unwrap(), expected);
        let owner = Check::Compare { left: "project_id".into(), right: "%(project_id)s".into() };
        assert_eq!(parse("(project_id:%(project_id)s)").unwrap(), owner);
    }

    #[test]
    fn the_short_forms() {
        assert_eq!(parse("").unwrap(), Check::Always);
        assert_eq!(parse("@").unwrap(), Check::Always);
        assert_eq!(parse("!").unwrap(), Check::Never);
        assert_eq!(parse_lists(&[]).unwrap(), Check::Always);
        assert_eq!(parse_lists(&[vec![]]).unwrap(), Check::Never);
        let lists = [vec!["role:a".into(), "role:b".into()], vec!["role:c".into()]];
        assert_eq!(parse_lists(&lists).unwrap(), Check::Any(vec![Check::All(vec![role("a"), role("b")]), role("c")]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for text in [" ", "role", "role:a role:b", "(role:a", "role:a)", "role:a or", "and role:a", "not", "()"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("{}role:a", "(".repeat(1000))).unwrap_err().contains("64 levels"));
        assert!(parse(&"x".repeat(70_000)).unwrap_err().contains("65536 bytes"));
    }
}
