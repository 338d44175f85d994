//! Needles, and finding them in every form in which they might be kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The first bytes by which a pattern is found; no needle is shorter.
const PREFIX: usize = 5;

/// The same needle in every form in which it might be kept.
fn forms(needle: &str) -> Vec<Vec<u8>> {
    let bytes = needle.as_bytes();
    let percent = |every: bool, lower: bool| -> String {
        let one = |byte: &u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' if !every => char::from(*byte).to_string(),
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        };
        bytes.iter().map(one).collect()
    };
    let hex = hex::encode(bytes);
    let mut forms = vec![needle.to_owned(), hex.to_uppercase(), hex];
    forms.extend([percent(false, false), percent(false, true), percent(true, false), percent(true, true)]);
    forms.push(percent(false, false).replace("%20", "+"));
    forms.push(needle.escape_unicode().to_string());
    // As JSON, which may escape what is not ASCII.
    forms.push(bytes.iter().map(|byte| format!("{byte}, ")).collect());
    for before in 0..3 {
        // The characters that depend on this needle alone, whatever stands around it.
        let encoded = STANDARD.encode([vec![0; before], bytes.to_vec()].concat());
        let first = (before * 8).div_ceil(6);
        let last = (before + bytes.len()) * 8 / 6;
        let own = encoded[first..last].to_owned();
        if own.len() > PREFIX {
            forms.push(own.replace('+', "-").replace('/', "_"));
            forms.push(own);
        }
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// Finds many patterns in one pass.
pub struct Search {
    patterns: HashMap<[u8; PREFIX], Vec<(Vec<u8>, String)>>,
    begins: Vec<bool>,
}

impl Search {
    /// For some needles.
    pub fn new(needles: &BTreeSet<String>) -> Self {
        let mut this = Self { patterns: HashMap::new(), begins: vec![false; 1 << 16] };
        for needle in needles {
            for form in forms(needle) {
                let prefix = <[u8; PREFIX]>::try_from(&form[..PREFIX]).unwrap();
                this.begins[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
                this.patterns.entry(prefix).or_default().push((form, needle.clone()));
            }
        }
        this
    }

    /// The needles in some bytes, with what stands around the first of each.
    pub fn find(&self, bytes: &[u8]) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (at, window) in bytes.windows(PREFIX).enumerate() {
            if !self.begins[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            for (form, needle) in self.patterns.get(window).into_iter().flatten() {
                if bytes[at..].starts_with(form) {
                    let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 100)];
                    found.entry(needle.clone()).or_insert_with(|| String::from_utf8_lossy(around).into_owned());
                }
            }
        }
        found
    }

    /// Every file with needles.
    pub fn files(&self, files: &[PathBuf]) -> BTreeMap<PathBuf, BTreeMap<String, String>> {
        let found = files.iter().filter_map(|file| Some((file.clone(), self.find(&fs::read(file).ok()?))));
        found.filter(|(_, found)| !found.is_empty()).collect()
    }
}

#[test]
fn every_form_of_a_needle_is_found() {
    let search = Search::new(&BTreeSet::from(["77 Quillfeather Lane".to_owned(), "Nguyễn Thị Ngọc".to_owned()]));
    for needle in ["77 Quillfeather Lane", "Nguyễn Thị Ngọc"] {
        for around in ["", "a", "ab", "abc", "abcd"] {
            let text = format!("{around}{needle}{around}");
            let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for hidden in [text.clone(), hex::encode(&text), STANDARD.encode(&text), percent] {
                assert_eq!(search.find(hidden.as_bytes()).keys().collect::<Vec<_>>(), [needle], "{hidden}");
            }
        }
    }
    assert_eq!(search.find("77 Quillfeather Lan, Nguyen".as_bytes()), BTreeMap::new());
}
