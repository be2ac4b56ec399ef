//! Reads what `modal-api` describes out of its source: the very attributes that prost makes code of, so that the two cannot differ.
//! Anything that is not understood fails.

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta, Token, Type};

const SCALARS: &[&str] =
    &["bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64"];

/// Messages and enums by name; those in modules as `module::Name`.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) messages: Map<String, Value>,
    pub(crate) enums: Map<String, Value>,
    oneofs: Map<String, Value>,
}

/// A field's attribute, taken apart.
struct Attributes(Vec<(String, Option<String>)>);

impl Source {
    pub(crate) fn read() -> Self {
        let mut source = Self::default();
        let files: Vec<syn::File> =
            files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sandbox-bridge/modal-api/src"))
                .iter()
                .map(|path| syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap())
                .collect();
        // Oneofs are needed for the messages that hold them, whatever the order of files.
        for file in &files {
            source.collect_oneofs("", &file.items);
        }
        for file in &files {
            source.collect("", &file.items);
        }
        source
    }

    fn collect_oneofs(&mut self, module: &str, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(inner) => {
                    let items = inner.content.as_ref().map(|(_, items)| items.as_slice()).unwrap_or_default();
                    self.collect_oneofs(&join(module, &inner.ident.to_string()), items);
                }
                Item::Enum(item) if derives(&item.attrs, "Oneof") => {
                    let fields: Vec<Value> = item
                        .variants
                        .iter()
                        .map(|variant| {
                            let Fields::Unnamed(fields) = &variant.fields else {
                                panic!("{}", variant.ident)
                            };
                            let name = snake_case(&variant.ident.to_string());
                            field(module, &name, &variant.attrs, &fields.unnamed[0].ty)
                        })
                        .collect();
                    self.oneofs.insert(join(module, &item.ident.to_string()), fields.into());
                }
                _ => {}
            }
        }
    }

    fn collect(&mut self, module: &str, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(inner) => {
                    let items = inner.content.as_ref().map(|(_, items)| items.as_slice()).unwrap_or_default();
                    self.collect(&join(module, &inner.ident.to_string()), items);
                }
                Item::Struct(item) if derives(&item.attrs, "Message") => {
                    let name = join(module, &item.ident.to_string());
                    assert!(is_documented(&item.attrs), "{name}: say what the message is for");
                    let fields =
                        item.fields.iter().flat_map(|field| self.fields(module, field)).collect::<Vec<_>>();
                    assert!(
                        self.messages.insert(name.clone(), fields.into()).is_none(),
                        "{name} is there twice"
                    );
                }
                Item::Enum(item) if derives(&item.attrs, "Enumeration") => {
                    let name = join(module, &item.ident.to_string());
                    assert!(is_documented(&item.attrs), "{name}: say what the values are for");
                    let values: Vec<Value> = item
                        .variants
                        .iter()
                        .map(|variant| {
                            let (_, number) = variant.discriminant.as_ref().unwrap();
                            json!([variant.ident.to_string(), integer(number)])
                        })
                        .collect();
                    assert!(
                        self.enums.insert(name.clone(), values.into()).is_none(),
                        "{name} is there twice"
                    );
                }
                _ => {}
            }
        }
    }

    fn fields(&self, module: &str, item: &syn::Field) -> Vec<Value> {
        let name = item.ident.as_ref().unwrap().to_string();
        let Some(path) = Attributes::of(&item.attrs).value("oneof") else {
            return vec![field(module, &name, &item.attrs, &item.ty)];
        };
        let mut fields = self.oneofs[&join(module, &path)].as_array().unwrap().clone();
        for field in &mut fields {
            field["oneof"] = json!(name);
        }
        fields
    }
}

fn field(module: &str, name: &str, attributes: &[Attribute], rust_type: &Type) -> Value {
    let attributes = Attributes::of(attributes);
    let has = |word: &str| attributes.0.iter().any(|(name, _)| name == word);
    let kind = if has("message") {
        format!("message:{}", resolve(module, &innermost(rust_type)))
    } else if let Some(path) = attributes.value("enumeration") {
        format!("enum:{}", resolve(module, &path))
    } else if let Some(types) = attributes.value("btree_map") {
        format!("map:{}", types.replace(' ', ""))
    } else {
        let scalar = SCALARS.iter().find(|scalar| has(scalar));
        scalar.unwrap_or_else(|| panic!("{name}: no known type among its attributes")).to_string()
    };
    let label = if has("repeated") {
        "repeated"
    } else if has("optional") {
        "optional"
    } else {
        "plain"
    };
    let number: u32 = attributes.value("tag").unwrap().parse().unwrap();
    json!({ "name": name, "number": number, "type": kind, "label": label, "oneof": null })
}

/// Names in a module are those of the module or, with `super::`, of the root; messages of protobuf itself have their full name.
fn resolve(module: &str, path: &str) -> String {
    match path {
        "Any" => "google.protobuf.Any".to_owned(),
        _ => match path.strip_prefix("super::") {
            Some(name) => name.to_owned(),
            None => join(module, path),
        },
    }
}

impl Attributes {
    fn of(attributes: &[Attribute]) -> Self {
        let prost = attributes.iter().filter(|attribute| attribute.path().is_ident("prost"));
        let parts = prost.flat_map(|attribute| {
            attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap()
        });
        Self(
            parts
                .map(|part| {
                    let name = part.path().get_ident().unwrap().to_string();
                    let value = match &part {
                        Meta::NameValue(pair) => Some(text(&pair.value)),
                        Meta::Path(_) | Meta::List(_) => None,
                    };
                    (name, value)
                })
                .collect(),
        )
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name)?.1.clone()
    }
}

fn text(value: &Expr) -> String {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value(),
        _ => panic!("a string was expected"),
    }
}

fn integer(value: &Expr) -> i32 {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().unwrap(),
        _ => panic!("a number was expected"),
    }
}

/// `T` of `Option<T>` and `Vec<T>`, as it is written.
fn innermost(rust_type: &Type) -> String {
    let Type::Path(path) = rust_type else { panic!("a path was expected") };
    let last = path.path.segments.last().unwrap();
    if let syn::PathArguments::AngleBracketed(arguments) = &last.arguments {
        let Some(syn::GenericArgument::Type(inner)) = arguments.args.first() else {
            panic!("{}", last.ident)
        };
        return innermost(inner);
    }
    path.path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
}

fn derives(attributes: &[Attribute], name: &str) -> bool {
    let derive = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derive
        .flat_map(|attribute| {
            attribute.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).unwrap()
        })
        .any(|path| path.segments.last().unwrap().ident == name)
}

fn is_documented(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
