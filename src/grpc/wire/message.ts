/**
 * Messages as tables of fields: the type, the reader and the writer are one definition, which a test compares with
 * the .proto files. Written here rather than taken from a library, since that reads every float of a vector into an
 * array of its own making and copies that once more, drops what it does not know, and costs a start 50 ms.
 */
import { ApiError } from "../../api/errors.ts";
import { broken, BYTES, Reader, WireError } from "./reader.ts";
import { Writer } from "./writer.ts";
import { repeated, type Field, type Scalar } from "./fields.ts";

type Shape<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A field as the .proto file has it. */
type Described = Pick<Field<unknown>, "number" | "type" | "holds"> & { readonly name: string };

export interface Message<T> extends Scalar<T> {
  readonly fields: readonly Described[];
  /** Which of several fields may be set only one at a time, by the name of the group. */
  readonly oneof: string | null;
  /** TOO_LARGE when more than `partsMax` messages lie within it, before those beyond are read. */
  decode(bytes: Buffer, partsMax?: number): T;
  encode(value: T): Buffer;
}

/** Encoding is synchronous: one is enough. */
const writer = new Writer();

/**
 * `type`: the name in the .proto file. `oneof`: all fields are members of this group: of several that were sent the
 * last one counts.
 */
export function message<const F extends Readonly<Record<string, Field<unknown>>>>(
  type: string,
  definition: F,
  oneof: string | null = null,
): Message<Shape<F>> {
  const names = Object.keys(definition);
  const fields = names.map((name) => definition[name] as Field<unknown>);
  const byNumber: (number | undefined)[] = [];
  fields.forEach(({ number }, at) => (byNumber[number] = at));
  const finished = fields.flatMap((field, at) =>
    "finish" in field ? [{ name: names[at] as string, field }] : [],
  );
  const blank = Object.fromEntries(names.map((name, at) => [name, fields[at]?.absent]));

  const read = (reader: Reader): Shape<F> => {
    const out: Record<string, unknown> = { ...blank };
    while (reader.at < reader.end) {
      const tag = reader.tag();
      const at = byNumber[tag >>> 3];
      if (at === undefined) throw unknownField(tag >>> 3, type);
      const name = names[at] as string;
      if (oneof !== null) Object.assign(out, { ...blank, [name]: out[name] });
      const before = out[name];
      try {
        out[name] = (fields[at] as Field<unknown>).read(reader, tag & 7, before);
      } catch (error) {
        if (error instanceof WireError) {
          const proto = protoName(name);
          error.within(Array.isArray(before) ? `${proto}[${before.length}]` : proto);
        }
        throw error;
      }
    }
    for (const { name, field } of finished) out[name] = field.finish?.(out[name]);
    return out as Shape<F>;
  };
  const write = (to: Writer, value: Shape<F>): void => {
    const values = value as Readonly<Record<string, unknown>>;
    for (let at = 0; at < names.length; at++)
      (fields[at] as Field<unknown>).write(to, values[names[at] as string]);
  };
  return {
    type,
    oneof,
    fields: names.map((name, at) => {
      const { number, type: of, holds } = fields[at] as Field<unknown>;
      return { name: protoName(name), number, type: of, ...(holds === undefined ? {} : { holds }) };
    }),
    wireType: BYTES,
    zero: blank as Shape<F>,
    read(reader) {
      const outer = reader.enter();
      const value = read(reader);
      reader.leave(outer);
      return value;
    },
    write: (to, value) => to.nested(() => write(to, value)),
    decode(bytes, partsMax) {
      try {
        return read(new Reader(bytes, partsMax));
      } catch (error) {
        throw told(error);
      }
    },
    encode(value) {
      try {
        write(writer, value);
        return writer.finish();
      } finally {
        writer.reset();
      }
    },
  };
}

/** Another message; null when absent. Sent twice, the later one counts. */
export function one<T>(number: number, of: Message<T>): Field<T | null> {
  const tag = number * 8 + BYTES;
  return {
    number,
    type: of.type,
    holds: of,
    absent: null,
    read(reader, wireType) {
      if (wireType !== BYTES) throw broken(`a field of type ${of.type} has wire type ${wireType}`);
      return of.read(reader);
    },
    write(to, value) {
      if (value === null) return;
      to.varint(tag);
      of.write(to, value);
    },
  };
}

export const many = <T>(number: number, of: Message<T>): Field<readonly T[]> => repeated(number, of);

/** `ifVersion` as `if_version`. */
export const protoName = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** A message as something else. */
export const mapped = <T, U>(of: Message<T>, from: (value: T) => U, to: (value: U) => T): Message<U> => ({
  type: of.type,
  oneof: of.oneof,
  fields: of.fields,
  wireType: BYTES,
  zero: from(of.zero),
  read: (reader) => from(of.read(reader)),
  write: (target, value) => of.write(target, to(value)),
  decode: (bytes, partsMax) => from(of.decode(bytes, partsMax)),
  encode: (value) => of.encode(to(value)),
});

/** The text in a field of a message, without reading the rest of it: enough to say whether it may be read. */
export function peekText(bytes: Buffer, number: number): string {
  const reader = new Reader(bytes);
  let found = "";
  try {
    while (reader.at < reader.end) {
      const tag = reader.tag();
      if (tag === number * 8 + BYTES) found = reader.text();
      else reader.skip(tag & 7);
    }
  } catch (error) {
    throw told(error);
  }
  return found;
}

function told(error: unknown): unknown {
  if (!(error instanceof WireError)) return error;
  const where = error.path === "" ? "the message" : `\`${error.path}\``;
  return new ApiError(error.code, `Wrong input: ${where} ${error.message}`, {}, { cause: error });
}

const unknownField = (number: number, type: string): WireError =>
  new WireError(
    "UNSUPPORTED",
    `has a field ${number} that ${type} does not have here: the client is newer than this server`,
  );
