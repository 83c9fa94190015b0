//! From the text of a Rust file to the tokens that are shipped.

/// A token and the line it stands on: an identifier, a number, a literal with its quotes, or one
/// character.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of Rust source, without comments.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest, 0),
            ['b' | 'c', '"', ..] => quoted(rest, 1),
            ['b', '\'', ..] => 1 + character(&rest[1..]),
            ['\'', ..] => character(rest),
            _ => match raw_string(rest) {
                Some(length) => length,
                None if is_word(rest[0]) => rest.iter().take_while(|c| is_word(**c)).count(),
                None => 1,
            },
        };
        let text: String = chars[start..start + length].iter().collect();
        let blank = text.starts_with("//") || text.starts_with("/*") || rest[0].is_whitespace();
        let lines = text.matches('\n').count();
        if !blank {
            found.push(Token { text, line });
        }
        line += lines;
        at += length;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// Length of a string literal whose opening quote is at `open`.
fn quoted(rest: &[char], open: usize) -> usize {
    let mut at = open + 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of a character literal or of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => {
            let escaped = rest.iter().skip(3).take_while(|c| **c != '\'').count();
            (escaped + 4).min(rest.len())
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1 + rest.iter().skip(1).take_while(|c| is_word(**c)).count(),
    }
}

/// Length of the raw string that `rest` begins with, if it does.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = match rest {
        ['r', '"' | '#', ..] => 1,
        ['b' | 'c', 'r', '"' | '#', ..] => 2,
        _ => return None,
    };
    let hashes = rest.iter().skip(prefix).take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return None; // a raw identifier
    }
    let mut at = open + 1;
    while at < rest.len() {
        let closing = rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count();
        if rest[at] == '"' && closing == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

/// The tokens without the items that only tests see.
pub fn shipped(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Whether an attribute begins here that compiles its item for tests only.
pub fn is_test_attribute(rest: &[Token]) -> bool {
    let attribute: Vec<&str> = rest.iter().take(7).map(|token| token.text.as_str()).collect();
    matches!(
        attribute[..],
        ["#", "[", "test", "]", ..]
            | ["#", "[", "cfg", "(", "test", ")", "]", ..]
            | ["#", "[", "cfg", "(", "all", "(", "test", ..]
    )
}

/// The index after the item whose first attribute begins at `at`.
pub fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    // The attributes first: a bracket in them does not end the item.
    while tokens.get(at).is_some_and(|token| token.text == "#") {
        at = end_of_group(tokens, at + 1);
    }
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ";" => return at + 1,
            "{" => {
                let end = end_of_group(tokens, at);
                let goes_on = tokens.get(end).is_some_and(|next| next.text == ";");
                return if goes_on { end + 1 } else { end };
            }
            "(" | "[" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The index after the bracket that closes the one at `at`.
pub fn end_of_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}
