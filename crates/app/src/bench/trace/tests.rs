//! Traces that are read, and what is said of those that are not.

use super::*;

fn read(text: &str) -> Result<Trace, String> {
    Trace::read(text.as_bytes())
}

const OBJECTS: &str = "\
{\"tok\": 0, \"layers\": [[3, 1], [0, 2]]}
{\"tok\": 1, \"layers\": [[3, 2], [5, 0]]}
";

const DUMPED: &str = "
{\"phase\":\"prefill\",\"experts\":8,\"layers\":[[3,1],[]],\"weights\":[[0.6,0.4],[]]}
{\"phase\":\"decode\",\"experts\":8,\"layers\":[[2,1],[7,0]],\"weights\":[[0.6,0.4],[0.9,0.1]]}
";

const ROWS: &str = "\
# route_trace v1
# model=some.gguf arch=some n_layer=2 n_expert=8 n_expert_used=2
turn,phase,step,layer,slot,expert,weight
0,0,0,0,0,3,0.6
0,0,0,0,1,1,0.4
0,0,1,0,0,5,1.0
0,0,1,1,0,4,1.0
0,1,2,0,0,2,0.6
0,1,2,0,1,1,0.4
0,1,2,1,0,7,0.9
0,1,2,1,1,0,0.1
";

#[test]
fn every_form_is_read() {
    let trace = read(OBJECTS).unwrap();
    assert_eq!((trace.tokens(), trace.layers, trace.experts), (2, 2, 6), "6: highest id and one");
    assert!(!trace.experts_known && !trace.has_phases(), "the file says neither");
    assert_eq!(trace.choice(1, 1), [5, 0], "in the order of the file");
    let steps: Vec<_> = trace.steps().collect();
    let expected: [(usize, &[u32]); 4] = [(0, &[3, 1]), (1, &[0, 2]), (0, &[3, 2]), (1, &[5, 0])];
    assert_eq!(steps, expected, "token by token, layer by layer");
    assert_eq!((trace.chosen(), trace.cycle(), trace.records()), (2, 4, 12), "its sizes");

    let trace = read(DUMPED).unwrap();
    assert_eq!((trace.tokens(), trace.experts, trace.experts_known), (2, 8, true), "as it says");
    assert_eq!(trace.choice(0, 1), [0_u32; 0], "a layer without experts");
    let decode = trace.only(Phase::Decode);
    assert_eq!((decode.tokens(), decode.choice(0, 1)), (1, &[7, 0][..]), "the second token");

    let trace = read(ROWS).unwrap();
    assert_eq!((trace.tokens(), trace.layers, trace.experts), (3, 2, 8), "as it says");
    assert_eq!(trace.choice(0, 1), [0_u32; 0], "no rows of this layer");
    assert_eq!(trace.choice(1, 1), [4], "rows of layers together");
    assert_eq!(trace.only(Phase::Decode), decode, "the same token");
    assert_eq!(trace.only(Phase::Prefill).tokens(), 2, "the other two");
}

#[test]
fn rows_may_come_layer_by_layer() {
    let head = "phase,step,layer,expert\n";
    let by_token = read(&format!("{head}0,0,0,1\n0,0,1,2\n0,1,0,3\n0,1,1,4\n")).unwrap();
    let by_layer = read(&format!("{head}0,0,0,1\n0,1,0,3\n0,0,1,2\n0,1,1,4\n")).unwrap();
    assert_eq!(by_token, by_layer, "the same trace");
    assert_eq!((by_token.layers, by_token.experts), (2, 5), "found in the rows");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, parts) in [
        ("", &["no routes"][..]),
        ("\n\n", &["no routes"]),
        ("hello", &["line 1", "hello", "\"layers\""]),
        ("{\"layers\": [[1]]}\n{\"layers\": [[1], [2]]}", &["line 2", "2 layers", "1, as before"]),
        ("{\"layers\": [[1]]}\n{\"layers\": [[1]", &["line 2", "no JSON"]),
        ("{\"layers\": [[1, 1]]}", &["line 1", "expert 1 twice"]),
        ("{\"layers\": [[65536]]}", &["line 1", "65536", "65535"]),
        ("{\"layers\": [[-1]]}", &["line 1", "-1"]),
        ("{\"layers\": [[0.5]]}", &["line 1", "0.5"]),
        ("{\"layers\": [3]}", &["line 1", "layer", "3"]),
        ("{\"layers\": []}", &["line 1", "0 layers"]),
        ("{\"layers\": [[]]}", &["no routes"]),
        ("{\"routes\": [[1]]}", &["line 1", "\"layers\""]),
        ("{\"layers\": [[8]], \"experts\": 8}", &["line 1", "expert 8", "below 8"]),
        ("{\"layers\": [[1]], \"weights\": [[1, 2]]}", &["line 1", "weights"]),
        ("{\"layers\": [[1]], \"phase\": \"x\"}", &["line 1", "phase", "decode"]),
        ("a,b,c", &["line 1", "no column phase"]),
        ("# n_layer=0\n", &["line 1", "n_layer", "1 to"]),
        ("phase,step,layer,expert", &["no routes"]),
        ("phase,step,layer,expert\n2,0,0,0", &["line 2", "phase is 2"]),
        ("phase,step,layer,expert\n1,0,0", &["line 2", "expert is \"\""]),
        ("phase,step,layer,expert\n1,0,9999,0", &["line 2", "layer 9999"]),
        ("phase,step,layer,expert\n1,0,0,7\n1,0,0,7", &["line 3", "expert 7 twice"]),
        ("# n_expert=4\nphase,step,layer,expert\n1,0,0,4", &["line 3", "expert 4", "below 4"]),
        ("# n_layer=1\nphase,step,layer,expert\n1,0,1,0", &["line 3", "layer 1", "below 1"]),
    ] {
        let refused = read(text).expect_err(text);
        for part in parts {
            assert!(refused.contains(part), "{text:?}: {part:?} in {refused:?}");
        }
        assert!(!refused.contains('\n'), "{text:?}: one line");
    }
    let refused = Trace::read(&b"{\"layers\"\xff"[..]).expect_err("bytes");
    assert!(refused.contains("line 1") && refused.contains("UTF-8"), "{refused}");
    let endless = [b'{'].repeat(LINE_BYTES_MAX as usize + 2);
    let refused = Trace::read(&endless[..]).expect_err("an endless line");
    assert!(refused.contains("line 1") && refused.contains("too long"), "{refused}");
}

/// Whatever is left of a file is a trace or an error, and never more tokens than the whole.
#[test]
fn files_that_are_cut_anywhere_do_not_panic() {
    for text in [OBJECTS, DUMPED, ROWS] {
        let whole = read(text).unwrap().tokens();
        for end in 0..text.len() {
            let cut = read(&text[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|trace| trace.tokens() <= whole), "cut at {end}");
        }
    }
}
