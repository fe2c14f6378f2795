//! A look at a component before it is compiled: a small file can hold enough functions to keep a compiler busy for
//! half a minute and fill a gigabyte.

use wasmparser::{Parser, Payload};

/// Bytes of a component at most.
pub(super) const SIZE_MAX: usize = 4 << 20;
/// Functions of all its modules at most.
const FUNCTIONS_MAX: u32 = 20_000;
/// Bytes of one function at most.
const FUNCTION_MAX: usize = 256 << 10;
/// Modules and components inside of it at most.
const PARTS_MAX: u32 = 100;

/// Counts what compiling would cost; nothing is validated here, the compiler does that.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > SIZE_MAX {
        return Err(format!("is {} bytes, at most {SIZE_MAX} are taken", bytes.len()));
    }
    if !Parser::is_component(bytes) {
        return Err("is not a WebAssembly component".into());
    }
    let (mut functions, mut parts) = (0_u32, 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|e| format!("is not a valid component: {e}"))? {
            Payload::FunctionSection(section) => functions = functions.saturating_add(section.count()),
            Payload::CodeSectionEntry(body) if body.range().len() > FUNCTION_MAX => {
                return Err(format!(
                    "has a function of {} bytes, at most {FUNCTION_MAX} are taken",
                    body.range().len()
                ));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => parts += 1,
            _ => {}
        }
        if functions > FUNCTIONS_MAX {
            return Err(format!("has more than {FUNCTIONS_MAX} functions"));
        }
        if parts > PARTS_MAX {
            return Err(format!("has more than {PARTS_MAX} modules"));
        }
    }
    Ok(())
}
