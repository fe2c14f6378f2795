//! What a guest does before its first export is called: limits hold from the first instruction on.

use super::fault;

/// A component of the right world around a core module of which `inside` is a part; its exports trap.
fn component(inside: &str) -> Vec<u8> {
    let pair = "(list (tuple string string))";
    let text = format!(
        r#"(component
  (import "fanlight:placement/types@1.0.0" (instance $types
    (type $i (record (field "id" string) (field "project" (option string)) (field "size" (option u64))
      (field "disk-format" (option string)) (field "container-format" (option string)) (field "visibility" string)
      (field "tags" (list string)) (field "properties" {pair})
      (field "domain" (option string))))
    (export "image" (type $image (eq $i)))
    (type $s (record (field "id" string) (field "kind" string) (field "labels" {pair}) (field "weight" s32)
      (field "total" u64) (field "free" u64) (field "in-flight" u32) (field "latency-us" u32)))
    (export "store" (type $store (eq $s)))
    (type $r (record (field "image" $image) (field "stores" (list $store)) (field "now-ms" u64) (field "seed" u64)
      (field "operation" string)))
    (export "request" (type (eq $r)))
    (type $v (record (field "store" u32) (field "accepted" bool) (field "score" u32) (field "code" string)
      (field "text" string)))
    (export "verdict" (type (eq $v)))
    (type $d (record (field "name" string) (field "version" string) (field "summary" string)))
    (export "description" (type (eq $d)))
  ))
  (alias export $types "request" (type $request))
  (alias export $types "verdict" (type $verdict))
  (alias export $types "description" (type $description))
  (core module $m
    {inside}
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "describe") (result i32) unreachable)
    (func (export "validate") (param i32 i32) (result i32) unreachable)
    (func (export "rank") (param i32) (result i32) unreachable))
  (core instance $c (instantiate $m))
  (alias core export $c "memory" (core memory $memory))
  (alias core export $c "realloc" (core func $realloc))
  (func (export "describe") (result $description)
    (canon lift (core func $c "describe") (memory $memory) (realloc $realloc)))
  (func (export "validate-settings") (param "settings" {pair}) (result (result (error string)))
    (canon lift (core func $c "validate") (memory $memory) (realloc $realloc)))
  (func (export "rank") (param "request" $request) (param "settings" {pair})
    (result (result (list $verdict) (error string)))
    (canon lift (core func $c "rank") (memory $memory) (realloc $realloc)))
  (func (export "an-export-that-nobody-knows") (result $description)
    (canon lift (core func $c "describe") (memory $memory) (realloc $realloc)))
)"#
    );
    wat::parse_str(text).unwrap()
}

#[track_caller]
fn refused(inside: &str, limits: &str, text: &str) {
    let fault = fault("x", &component(inside), limits);
    assert!(fault.text.contains(text), "{fault}");
}

const MEMORY: &str = "(memory (export \"memory\") 1)";

#[test]
fn a_guest_that_does_nothing_is_refused_by_its_first_call_only() {
    // The control of the others: it fits the world, one export more than the world has included.
    refused(MEMORY, "", "`describe`: plug-in trapped: wasm `unreachable` instruction executed");
}

#[test]
fn a_loop_in_the_start_function() {
    let inside = format!("{MEMORY} (func $f (loop $l (br $l))) (start $f)");
    refused(&inside, "", "plug-in hit its limit: fuel of 10000000");
    let limits = "[limits]\nfuel = 10_000_000_000\ndeadline-ms = 20";
    refused(&inside, limits, "plug-in hit its limit: deadline of 20 ms");
}

#[test]
fn recursion_in_the_start_function() {
    refused(&format!("{MEMORY} (func $f (call $f)) (start $f)"), "", "plug-in hit its limit: stack");
}

#[test]
fn growth_in_the_start_function() {
    let grow = "(func $f (if (i32.eq (memory.grow (i32.const 300)) (i32.const -1)) (then unreachable))) (start $f)";
    refused(&format!("{MEMORY} {grow}"), "", "plug-in hit its limit: memory of 16777216 bytes");
    refused(&format!("{MEMORY} {grow}"), "[limits]\nmemory-mib = 32", "`describe`: plug-in trapped");
}

#[test]
fn a_memory_that_begins_over_the_limit() {
    let inside = "(memory (export \"memory\") 300)";
    refused(inside, "", "plug-in hit its limit: memory of 16777216 bytes");
    refused(inside, "[limits]\nmemory-mib = 32", "`describe`: plug-in trapped");
    refused("(memory (export \"memory\") 65536)", "[limits]\nmemory-mib = 64", "memory");
}

#[test]
fn a_table_that_begins_over_the_limit() {
    refused(&format!("{MEMORY} (table 10000000 funcref)"), "", "table");
}
