//! The writes in a GraphQL document: the root fields of its mutations, aliases and fragments included.
//!
//! Every mutation in a document counts, whatever `operationName` chooses: an upstream may choose
//! differently. So does every field, whatever its directives say.

use std::collections::HashMap;

use apollo_parser::cst::{Definition, OperationDefinition, Selection, SelectionSet};
use apollo_parser::{Parser, cst};

use super::uncountable::Uncountable;

/// How deep a document may nest, and how many tokens it may have; beyond, it cannot be counted.
const DEPTH_MAX: usize = 100;
const TOKENS_MAX: usize = 50_000;

/// How many root fields the mutations of a document have.
pub(super) fn mutations(text: &str) -> Result<u32, Uncountable> {
    check_characters(text)?;
    let parsed = Parser::new(text).recursion_limit(DEPTH_MAX).token_limit(TOKENS_MAX).parse();
    if let Some(error) = parsed.errors().next() {
        return Err(Uncountable::new(format!(
            "The GraphQL document cannot be read: {}.",
            error.message()
        )));
    }
    let document = parsed.document();
    let (mut operations, mut fragments) = (Vec::new(), Fragments::default());
    for definition in document.definitions() {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => fragments.add(&fragment)?,
            _ => {
                return Err(Uncountable::new(
                    "The GraphQL document has more than operations and fragments.",
                ));
            }
        }
    }
    if operations.is_empty() {
        return Err(Uncountable::new("The GraphQL document has no operation."));
    }
    operations.iter().filter(|operation| is_mutation(operation)).try_fold(
        0_u32,
        |sum, operation| {
            let fields = operation
                .selection_set()
                .ok_or_else(|| Uncountable::new("A mutation has no fields."))?;
            Ok(sum.saturating_add(fragments.root_fields(&fields, DEPTH_MAX)?.max(1)))
        },
    )
}

/// Holds a document to characters in which all parsers see the same: early ones end a comment at
/// U+2028, others the text at a NUL, and only some skip a byte-order mark.
fn check_characters(text: &str) -> Result<(), Uncountable> {
    let is_unclear = |c: char| match c {
        '\t' | '\n' | '\r' => false,
        _ => c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'),
    };
    match text.chars().find(|c| is_unclear(*c)) {
        Some(c) => Err(Uncountable::new(format!(
            "The GraphQL document holds the character U+{:04X}, which parsers read differently.",
            u32::from(c)
        ))),
        None => Ok(()),
    }
}

fn is_mutation(operation: &OperationDefinition) -> bool {
    operation.operation_type().is_some_and(|kind| kind.mutation_token().is_some())
}

/// The fragments of a document by their names, with what is known of their root fields.
#[derive(Default)]
struct Fragments(HashMap<String, Fragment>);

enum Fragment {
    Uncounted(SelectionSet),
    /// It is being counted: whoever meets it again has gone in a circle.
    Begun,
    Counted(u32),
}

impl Fragments {
    fn add(&mut self, fragment: &cst::FragmentDefinition) -> Result<(), Uncountable> {
        let name = fragment.fragment_name().and_then(|name| name.name());
        let (Some(name), Some(fields)) = (name, fragment.selection_set()) else {
            return Err(Uncountable::new("A fragment has no name or no fields."));
        };
        match self.0.insert(name.text().to_string(), Fragment::Uncounted(fields)) {
            None => Ok(()),
            Some(_) => Err(Uncountable::new(format!("There are two fragments {:?}.", name.text()))),
        }
    }

    /// How many fields a selection has, with those of fragments, each of which is counted once however
    /// often it is named.
    fn root_fields(&mut self, set: &SelectionSet, depth: usize) -> Result<u32, Uncountable> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Uncountable::new("The fragments of the GraphQL document nest too deep."));
        };
        let mut sum = 0_u32;
        for selection in set.selections() {
            let count = match selection {
                Selection::Field(_) => 1,
                Selection::InlineFragment(inline) => match inline.selection_set() {
                    Some(fields) => self.root_fields(&fields, depth)?,
                    None => 1,
                },
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name());
                    let name = name.map(|name| name.text().to_string()).unwrap_or_default();
                    self.named(&name, depth)?
                }
            };
            sum = sum.saturating_add(count);
        }
        Ok(sum)
    }

    fn named(&mut self, name: &str, depth: usize) -> Result<u32, Uncountable> {
        let missing = || Uncountable::new(format!("There is no fragment {name:?}."));
        let state = self.0.get_mut(name).ok_or_else(missing)?;
        let fields = match std::mem::replace(state, Fragment::Begun) {
            Fragment::Uncounted(fields) => fields,
            Fragment::Begun => {
                return Err(Uncountable::new(
                    "The fragments of the GraphQL document go in a circle.",
                ));
            }
            Fragment::Counted(count) => {
                *state = Fragment::Counted(count);
                return Ok(count);
            }
        };
        let count = self.root_fields(&fields, depth)?;
        self.0.insert(name.to_owned(), Fragment::Counted(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(document: &str) -> Option<u32> {
        mutations(document).ok()
    }

    #[test]
    fn queries_read_and_each_root_field_of_a_mutation_writes() {
        assert_eq!(count("{ me { name } }"), Some(0));
        assert_eq!(count("query A { a } query B { b }"), Some(0));
        assert_eq!(count("mutation { a: drop(id: 1) b: drop(id: 2) c: drop(id: 3) }"), Some(3));
        assert_eq!(count("query A { a } mutation B { b { c d } }"), Some(1));
        assert_eq!(count("mutation { ...F ... on M { c } } fragment F on M { a b }"), Some(3));
        assert_eq!(count("mutation { ...F ...F } fragment F on M { a b }"), Some(4));
    }

    #[test]
    fn what_cannot_be_read_is_not_counted_as_nothing() {
        for document in [
            "",
            "mutation",
            "{",
            "mutation { ...Missing }",
            "type A { b: C }",
            "fragment F on M { a }",
            "mutation { ...A } fragment A on M { ...B } fragment B on M { ...A }",
            "mutation { ...F } fragment F on M { a } fragment F on M { a b c }",
        ] {
            assert_eq!(count(document), None, "{document}");
        }
        assert_eq!(count(&format!("mutation {}", "{ a ".repeat(5_000))), None);
    }

    #[test]
    fn a_character_that_parsers_read_differently_is_not_counted() {
        for document in [
            "{a}#\u{2028}mutation{b}",
            "{a}#\u{2029}mutation{b}",
            "{a}#\u{85}mutation{b}",
            "{a}#\u{b}mutation{b}",
            "{a}\0mutation{b}",
            "\u{feff}{a}",
        ] {
            assert_eq!(count(document), None, "{document:?}");
        }
        assert_eq!(count("{a}#\rmutation{b}"), Some(1));
        assert_eq!(count("{a}#\u{e9}\nmutation{b}"), Some(1));
    }

    #[test]
    fn fragments_that_name_each_other_often_are_counted_at_once() {
        let mut document = String::from("mutation { ...F0 }");
        for number in 0..60 {
            let next = number + 1;
            document += &format!(" fragment F{number} on M {{ ...F{next} ...F{next} }}");
        }
        document += " fragment F60 on M { a }";
        assert_eq!(count(&document), Some(u32::MAX), "not less than anybody executes");
        let chain: Vec<_> =
            (0..5_000).map(|n| format!("fragment F{n} on M {{ ...F{} }}", n + 1)).collect();
        assert_eq!(count(&format!("mutation {{ ...F0 }} {}", chain.join(" "))), None);
    }

    proptest! {
        #[test]
        fn hostile_documents_never_panic(text in "[a-z{}(): .$!@\"#\\n]{0,80}") {
            let _ = mutations(&text);
        }
    }
}
