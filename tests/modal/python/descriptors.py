"""Compares our subset of Modal's messages, read from standard input as JSON, with the descriptors in Modal's package.

Prints one line for each difference and `N compared` at the end. Called by tests/descriptors.rs, which made the JSON from the source.
"""

import json
import sys

from google.protobuf.descriptor import FieldDescriptor
from modal_proto import api_pb2, task_command_router_pb2

FILES = {file.package: file for file in (api_pb2.DESCRIPTOR, task_command_router_pb2.DESCRIPTOR)}
SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}


class Comparison:
    def __init__(self, ours):
        self.ours = ours
        self.differences = []
        self.compared = 0
        self.seen = set()

    def check(self, where, ours, theirs):
        self.compared += 1
        if ours != theirs:
            self.differences.append(f"{where}: ours is {ours!r}, Modal's is {theirs!r}")

    def services(self):
        for service in self.ours["services"]:
            theirs = FILES[service["package"]].services_by_name[service["name"]]
            for method in service["methods"]:
                where = f"{service['name']}/{method['name']}"
                known = theirs.methods_by_name.get(method["name"])
                if known is None:
                    self.differences.append(f"{where}: Modal has no such method")
                    continue
                self.check(f"{where} request stream", method["request_stream"], known.client_streaming)
                self.check(f"{where} response stream", method["response_stream"], known.server_streaming)
                for side, name, descriptor in (
                    ("request", method["request"], known.input_type),
                    ("response", method["response"], known.output_type),
                ):
                    if name == descriptor.full_name:  # google.protobuf.Empty
                        self.compared += 1
                    elif name in self.ours["messages"]:
                        self.message(name, descriptor)
                    else:
                        self.differences.append(f"{where} {side}: {name}, Modal's is {descriptor.full_name}")

    def unreached(self):
        """Messages that no method names, such as those in the details of a status: found by their name."""
        files = FILES.values()
        theirs = {name.lower(): message for file in files for name, message in file.message_types_by_name.items()}
        for name in self.ours["messages"]:
            if name in self.seen:
                continue
            if name.lower() in theirs:
                self.message(name, theirs[name.lower()])
            else:
                self.differences.append(f"{name}: no method uses it, and Modal has no message of that name")
        for name in self.ours["enums"]:
            if name not in self.seen:
                self.differences.append(f"{name}: no field has this type")

    def named_alike(self, ours, theirs):
        """Rust writes RpcStatus and PtyInfo for RPCStatus and PTYInfo; nested messages lie in modules."""
        self.check(f"{ours} name", ours.split("::")[-1].lower(), theirs.name.lower())

    def message(self, name, theirs):
        if name in self.seen:
            return
        self.seen.add(name)
        self.named_alike(name, theirs)
        for field in self.ours["messages"][name]:
            where = f"{name}.{field['name']}"
            known = theirs.fields_by_name.get(field["name"])
            if known is None:
                self.differences.append(f"{where}: {theirs.full_name} has no such field")
                continue
            self.check(f"{where} number", field["number"], known.number)
            self.check(f"{where} oneof", field["oneof"], oneof(known))
            is_map = is_map_field(known)
            self.check(f"{where} repeated", field["label"] == "repeated", known.is_repeated and not is_map)
            if known.type != FieldDescriptor.TYPE_MESSAGE and not known.is_repeated:
                has_presence = field["label"] == "optional" or field["oneof"] is not None
                self.check(f"{where} presence", has_presence, known.has_presence)
            self.type(where, field, known)

    def type(self, where, field, known):
        kind, _, name = field["type"].partition(":")
        if is_map_field(known):
            fields = known.message_type.fields_by_name
            self.check(f"{where} map", field["type"], f"map:{SCALARS[fields['key'].type]},{SCALARS[fields['value'].type]}")
        elif known.type == FieldDescriptor.TYPE_MESSAGE:
            self.check(f"{where} type", kind, "message")
            if kind == "message" and name != known.message_type.full_name:
                self.message(name, known.message_type)
        elif known.type == FieldDescriptor.TYPE_ENUM:
            self.check(f"{where} type", kind, "enum")
            if kind == "enum":
                self.enum(name, known.enum_type)
        else:
            self.check(f"{where} type", field["type"], SCALARS[known.type])

    def enum(self, name, theirs):
        if name in self.seen:
            return
        self.seen.add(name)
        # Ours leave out the prefix that is the enum's own name, and SandboxStdio... may be long.
        self.named_alike(name, theirs)
        names = {value.number: value.name for value in theirs.values}
        prefix = snake(theirs.name) + "_"
        for ours, number in self.ours["enums"][name]:
            known = names.get(number, "nothing")
            self.check(f"{name}::{ours} = {number}", snake(ours), known.removeprefix(prefix))


def oneof(field):
    """Its name, unless it is only how an optional field is made."""
    known = field.containing_oneof
    return None if known is None or known.name == f"_{field.name}" else known.name


def is_map_field(field):
    return field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def snake(name):
    """GenericStatus -> GENERIC_STATUS, PTYType -> PTY_TYPE."""
    out = ""
    for index, character in enumerate(name):
        follows_lower = index > 0 and not name[index - 1].isupper()
        ends_acronym = index > 0 and index + 1 < len(name) and name[index + 1].islower()
        if character.isupper() and index > 0 and (follows_lower or ends_acronym):
            out += "_"
        out += character.upper()
    return out


def main():
    comparison = Comparison(json.load(sys.stdin))
    comparison.services()
    comparison.unreached()
    for difference in comparison.differences:
        print(difference)
    print(f"{comparison.compared} compared")
    sys.exit(1 if comparison.differences else 0)


main()
