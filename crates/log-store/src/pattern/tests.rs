use super::*;

/// `matching` and `other` are messages, one a line.
fn check(pattern: &str, matching: &str, other: &str) {
    let parsed = FilterPattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for (messages, expected) in [(matching, true), (other, false)] {
        for message in messages.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert_eq!(parsed.matches(message), expected, "{pattern} on {message}");
            if expected {
                // What the block filter is asked about must never hide a match.
                assert!(
                    parsed.could_match(|term| message.contains(term)),
                    "{pattern} on {message}"
                );
            }
        }
    }
}

fn check_invalid(pattern: &str, text: &str) {
    match FilterPattern::parse(pattern) {
        Ok(_) => panic!("{pattern} was taken"),
        Err(error) => assert_eq!(error.to_string(), text, "{pattern}"),
    }
}

const REQUESTS: [&str; 4] = [
    "[ERROR 400] BAD REQUEST",
    "[ERROR 401] UNAUTHORIZED REQUEST",
    "[ERROR 419] MISSING ARGUMENTS",
    "[ERROR 420] INVALID ARGUMENTS",
];

#[test]
fn terms() {
    let all = REQUESTS.join("\n");
    check("", &all, "");
    check("   ", &all, "");
    check("\" \"", &format!("{all}\nplain"), "");
    check("ERROR", &format!("{all}\nTERRORS"), "error\nplain");
    check("ERROR ARGUMENTS", &REQUESTS[2..].join("\n"), &REQUESTS[..2].join("\n"));
    check("?ERROR ?WARN", "ERROR a\nWARN b\nERROR WARN", "INFO\nerror");
    check("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED\nERROR REQUEST", "ERROR");
    check("?ERROR -REQUEST", "INFO\nERROR", "ERROR REQUEST");
    check("ERROR -ARGUMENTS", &REQUESTS[..2].join("\n"), &REQUESTS[2..].join("\n"));
    check("-ERROR", "INFO", "an ERROR");
    check(
        "\"INTERNAL SERVER ERROR\"",
        "[ERROR 500] INTERNAL SERVER ERROR",
        "ERROR SERVER INTERNAL",
    );
    check("ERROR -\"BAD REQUEST\"", REQUESTS[1], REQUESTS[0]);
    check(r#""say \"hi\"""#, r#"they say "hi" now"#, "they say hi");
    check("?\"a b\" ?c", "x a b\nc", "a  B");
    check("größe", "die größe", "GRÖSSE");
    check("request-id", "x request-id=4", "request id");
}

#[test]
fn invalid_terms() {
    check_invalid("\"ERROR", "Invalid filter pattern");
    check_invalid("\"\"", "Invalid character(s) in term '\"\"'");
    check_invalid("?Status: timeout", "Invalid character(s) in term ':'");
    check_invalid("a@b.c", "Invalid character(s) in term '@'");
    check_invalid("not !(", "Invalid character(s) in term '!('");
    check_invalid("ERROR || WARN", "Invalid character(s) in term '||'");
    check_invalid("?", "Invalid filter pattern");
    check_invalid(&"a".repeat(1025), "Invalid filter pattern");
}

#[test]
fn regular_expressions() {
    check("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST\nAUTHORIZED", "authorized");
    check("%^[hc]at%", "hat trick\ncats", "that");
    check("%[hc]at$%", "a hat", "hats");
    check("%colou?r%", "color\ncolour", "colouur");
    check("%a{3,5}%", "aaa\nbaaaab", "aab");
    check("%^a{,2}b%", "b\nab\naab", "aaab");
    check("%^starting|^shutting down%", "starting x\nshutting down", "not starting");
    check(r"%\[.\]%", "[a]\nx[7]", "[ab]\na");
    check(r"%10\.10\.0\.1%", "ip 10.10.0.1", "10010,051");
    check("%10.10.0.1%", "10.10.0.1\n10010,051", "1010");
    check(r"%^ERROR\s[0-9]{3}$%", "ERROR 500", "ERROR 50\nERROR 5000\nxERROR 500");
    check(r"%\x28\w+\x29%", "call (now)", "call now");
    check("%[a-c[]%", "b\n[", "d");
}

#[test]
fn invalid_regular_expressions() {
    check_invalid("%something!%", "Invalid character(s) in term '!'");
    check_invalid("%(a|b)%", "Invalid character(s) in term '('");
    check_invalid("%café%", "Invalid character(s) in term 'é'");
    for pattern in ["%[abc%", "%abc", "%%", "%a% b", "%a{1000}{1000}{1000}%"] {
        check_invalid(pattern, "Invalid filter pattern");
    }
}

const TRAIL: &str = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],"objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"ThisFlag":true,"cluster.name":"c","detail-type":"x"}"#;

fn check_json(json: &str, matching: &[&str], other: &[&str]) {
    for pattern in matching {
        check(&format!("{{ {pattern} }}"), json, "not JSON\n{broken\n[1]\n{}");
    }
    for pattern in other {
        check(&format!("{{ {pattern} }}"), "", json);
    }
}

#[test]
fn json_conditions() {
    check_json(
        TRAIL,
        &[
            r#"$.eventType = "UpdateTrail""#,
            "$.eventType = UpdateTrail",
            "$.eventType=Update*",
            "$.eventType = *Trail",
            "$.eventType = \"*dateTr*\"",
            "$.eventType = *",
            "$.eventType = %Trail%",
            "$.sourceIPAddress != 123.123.*",
            r#"$.arrayKey[0] = "value""#,
            r#"$.arrayKey[*] = "another value""#,
            "$.arrayKey[*] = %val.{2}%",
            r"$.* = %111\.111\.111\.1[0-9]{1,2}%",
            "$.objectList[1].id = 2",
            "$.objectList[*].id >= 2",
            "$.SomeObject IS NULL",
            "$.ThisFlag IS TRUE",
            "$.ThisFlag = true",
            "$.['cluster.name'] = \"c\"",
            "$['cluster.name'] = \"c\"",
            "$.detail-type = x",
        ],
        &[
            "$.eventType = \"updatetrail\"",
            "$.eventType = \"Up*Trail\"",
            "$.eventType != UpdateTrail",
            "$.sourceIPAddress != 111.*",
            r#"$.arrayKey[1] = "value""#,
            r#"$.arrayKey = "value""#,
            r#"$.arrayKey != "value""#,
            r#"$.missing != "value""#,
            "$.SomeObject NOT EXISTS",
            "$.SomeObject = null",
            "$.eventType IS NULL",
            "$.ThisFlag IS FALSE",
            "$.cluster.name = \"c\"",
            "$.eventType > 3",
        ],
    );
    check("{ $.SomeOtherObject NOT EXISTS }", TRAIL, r#"{"SomeOtherObject":null}"#);
}

#[test]
fn json_numbers() {
    let json = r#"{"n":1000,"small":0.001,"negative":-3.5,"text":"1000","latency":55.5}"#;
    check_json(
        json,
        &[
            "$.n = 1000",
            "$.n = 1e3",
            "$.n = 1e+3",
            "$.n >= 1000",
            "$.n > +999",
            "$.n < 1e4",
            "$.n = 1000.0",
            "$.n = 1*",
            "$.small = 1e-3",
            "$.negative < -3",
            "$.latency <= 55.5",
            "$.text = 1000",
            "$.n != 5",
            "$.n = *",
        ],
        &["$.n = 1001", "$.n != 1000", "$.n < 1000", "$.text > 5", "$.negative > 0"],
    );
}

#[test]
fn json_compounds() {
    let json = r#"{"user":{"id":1,"email":"John.Stiles@example.com"},"users":[{"id":2,"email":"John.Doe@example.com"}],"actions":["GET","PUT","DELETE"],"coordinates":[[0,1,2],[4,5,6]]}"#;
    check_json(
        json,
        &[
            r#"($.user.id = 1) && ($.users[0].email = "John.Doe@example.com")"#,
            r#"$.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch""#,
            "$.coordinates[1][2] = 6",
            "(($.user.id = 2) || ($.user.id=1)) && $.actions[2] = DELETE",
        ],
        &[
            r#"($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch""#,
            r#"($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET""#,
        ],
    );
}

#[test]
fn invalid_json_patterns() {
    for pattern in [
        "{",
        "{}",
        "{ $.v }",
        "{ $.v EXISTS }",
        "{ $.v IS NOT NULL }",
        "{ $.v > \"Alpha\" }",
        "{ $.v > 0 AND $.v < 2 }",
        "{ $.items[*].* = 1 }",
        "{ $..value = 1 }",
        "{ $.arr[-1] = 1 }",
        "{ $.arr[0:2] = 1 }",
        "{ $ = 1 }",
        "{ $.a[*] = 1 || $.b[*] = 1 || $.* = 1 || $.c[*] = 0 }",
        "{ $.v = %a% || $.v = %b% || $.v = %c% }",
        "{ $.v = 1 && }",
        "{ ($.v = 1 }",
        "{ $.v = 1 } x",
        "{ $.v = \"a }",
    ] {
        check_invalid(pattern, "Invalid filter pattern");
    }
    check_invalid("{ $.v == 1 }", "Invalid character(s) in term '='");
    check_invalid("{ $.\"sc-status\" = 5* }", "Invalid character(s) in term '$.\"'");
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(40), ")".repeat(40));
    check_invalid(&deep, "Invalid filter pattern");
}

const ACCESS: &str =
    r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

#[test]
fn space_delimited() {
    for (pattern, expected) in [
        ("[ip, user, username, timestamp, request, status_code, bytes]", true),
        (
            "[ip=%127\\.0\\.0\\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            true,
        ),
        ("[..., request =*.html*, status_code = 4*, bytes]", true),
        ("[..., status_code = 404 || status_code = 410, bytes]", true),
        ("[ip, ..., status_code, bytes > 1000]", true),
        ("[ip, user, ...]", true),
        ("[...]", true),
        ("[..., bytes > 1534]", false),
        ("[..., bytes >= 1534]", true),
        ("[..., status_code != 404, bytes]", false),
        ("[..., status_code = 4* && status_code != 403, bytes]", true),
        ("[..., request = \"GET /index.html HTTP/1.0\", status, bytes]", true),
        ("[,,, timestamp = 10/Oct*, ...]", true),
        ("[a, b, c, d, e, f, g, h]", false),
        ("[a, b, c, d, e, f, g, ..., h]", false),
        ("[ip, user, rest]", true),
        ("[ip, user, rest = *1534]", true),
        ("[ip, user, rest = frank*]", true),
    ] {
        let (matching, other) = if expected { (ACCESS, "") } else { ("", ACCESS) };
        check(pattern, matching, other);
    }
    let long = "ERROR 09/25/2014 12:00:02 Failed to process request";
    check("[w1=ERROR, w2]", &format!("{long}\nERROR message"), "ERROR\nWARNING x\nan ERROR");
    check("[w1=ERROR || w1=WARNING, w2]", &format!("{long}\nWARNING x"), "INFO x");
    check("[w1!=ERROR && w1!=WARNING, w2]", "INFO x", &format!("{long}\nWARNING x"));
    check("[w1 = ERROR && (w1 != FOO || w1 = BAR), w2]", "ERROR x", "BAR x");
}

#[test]
fn invalid_space_delimited() {
    for pattern in [
        "[",
        "[a, b",
        "[..., status, ...]",
        "[a b]",
        "[a = ]",
        "[a = 1 && b = 2]",
        "[a > x]",
        "[a = %x%, b = %y%, c = %z%]",
        "[a] b",
        "[= 1]",
    ] {
        check_invalid(pattern, "Invalid filter pattern");
    }
}

#[test]
fn the_block_filter_passes_over_what_cannot_match() {
    for (pattern, there, could) in [
        ("ERROR", "ERROR", true),
        ("ERROR", "WARN", false),
        ("ERROR WARN", "WARN", false),
        ("?ERROR ?WARN", "WARN", true),
        ("?ERROR ?WARN", "INFO", false),
        ("-ERROR", "ERROR", true),
        ("%ERROR%", "", true),
        ("{ $.a = 1 }", "", true),
    ] {
        let parsed = FilterPattern::parse(pattern).unwrap();
        assert_eq!(parsed.could_match(|term| there.contains(term)), could, "{pattern} on {there}");
    }
}

proptest::proptest! {
    /// No text makes the parser or a parsed pattern panic.
    #[test]
    fn any_text_is_taken_or_refused(
        pattern in r#"[\[{%]?([$. *=!<>&|()\[\]{}%?"'a0-9,_-]|IS NULL|NOT EXISTS|\.\.\.|ü){0,40}[\]}%]?"#,
        message in r#"[\[\]{}": a0,.\\ü-]{0,60}"#,
    ) {
        if let Ok(pattern) = FilterPattern::parse(&pattern) {
            pattern.matches(&message);
            pattern.could_match(|_| true);
        }
    }
}
