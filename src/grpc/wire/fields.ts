/**
 * What a field may hold. Each kind reads into what the use cases take: a vector becomes a Float32Array by one copy,
 * a number is exact or refused.
 */
import { broken, BYTES, FIXED32, VARINT, WireError, type Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

export interface Field<T> {
  readonly number: number;
  /** As in a .proto file: `uint64`, `optional string`, `repeated float`, `repeated Point`. */
  readonly type: string;
  /** What it holds one or many of; enumerations and vectors are by themselves. */
  readonly holds?: Scalar<unknown>;
  /** What an absent field is. */
  readonly absent: T;
  /** What the field is after this occurrence, given what it was before it. */
  read(reader: Reader, wireType: number, before: T): T;
  /** Once the message is read to its end. */
  finish?(value: T): T;
  /** Writes tag and value, or nothing for what is absent. */
  write(writer: Writer, value: T): void;
}

/** A value without its tag. */
export interface Scalar<T> {
  readonly type: string;
  readonly wireType: number;
  readonly zero: T;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

/** What JSON and a number hold exactly. */
const UINT64_MAX = Number.MAX_SAFE_INTEGER;
const LARGER = " (send larger ids as text)";

const uint = (type: string, most: number): Scalar<number> => ({
  type,
  wireType: VARINT,
  zero: 0,
  read(reader) {
    const value = reader.varint();
    if (value > most)
      throw new WireError(
        "INVALID",
        `must be a whole number from 0 to ${most}${most === UINT64_MAX ? LARGER : ""}`,
      );
    return value;
  },
  write: (writer, value) => writer.varint(value),
});

const UINT32 = uint("uint32", 0xffff_ffff);
const UINT64 = uint("uint64", UINT64_MAX);
const FLOAT: Scalar<number> = {
  type: "float",
  wireType: FIXED32,
  zero: 0,
  read: (reader) => reader.float(),
  write: (writer, value) => writer.float(value),
};
const BOOL: Scalar<boolean> = {
  type: "bool",
  wireType: VARINT,
  zero: false,
  read: (reader) => reader.varint() !== 0,
  write: (writer, value) => writer.varint(value ? 1 : 0),
};
const STRING: Scalar<string> = {
  type: "string",
  wireType: BYTES,
  zero: "",
  read: (reader) => reader.text(),
  write: (writer, value) => writer.text(value),
};

function expect(wireType: number, found: number, type: string): void {
  if (wireType !== found) throw broken(`a field of type ${type} has wire type ${found}`);
}

/** Absent and zero are the same. */
const plain =
  <T>(scalar: Scalar<T>) =>
  (number: number): Field<T> => {
    const tag = number * 8 + scalar.wireType;
    return {
      number,
      type: scalar.type,
      absent: scalar.zero,
      read(reader, wireType) {
        expect(scalar.wireType, wireType, scalar.type);
        return scalar.read(reader);
      },
      write(writer, value) {
        if (value === scalar.zero) return;
        writer.varint(tag);
        scalar.write(writer, value);
      },
    };
  };

const present =
  <T>(scalar: Scalar<T>) =>
  (number: number, label = "optional "): Field<T | null> => {
    const tag = number * 8 + scalar.wireType;
    return {
      number,
      type: `${label}${scalar.type}`,
      absent: null,
      read(reader, wireType) {
        expect(scalar.wireType, wireType, scalar.type);
        return scalar.read(reader);
      },
      write(writer, value) {
        if (value === null) return;
        writer.varint(tag);
        scalar.write(writer, value);
      },
    };
  };

export const uint32 = plain(UINT32);
export const uint64 = plain(UINT64);
export const float = plain(FLOAT);
export const bool = plain(BOOL);
export const string = plain(STRING);

/** Absent is null. */
export const optional = {
  uint32: present(UINT32),
  uint64: present(UINT64),
  float: present(FLOAT),
  bool: present(BOOL),
  string: present(STRING),
} as const;

/** A number by its name; null for the first (`..._UNSPECIFIED`) and when absent. */
export function word<const W extends string>(
  number: number,
  type: string,
  words: readonly W[],
): Field<W | null> {
  const tag = number * 8 + VARINT;
  return {
    number,
    type,
    absent: null,
    read(reader, wireType) {
      expect(VARINT, wireType, type);
      const value = reader.varint();
      if (value === 0) return null;
      const found = words[value - 1];
      if (found === undefined)
        throw new WireError(
          "BAD_REQUEST",
          `has no value ${value}: known are 1 to ${words.length} (${words.join(", ")})`,
        );
      return found;
    },
    write(writer, value) {
      if (value === null) return;
      writer.varint(tag);
      writer.varint(words.indexOf(value) + 1);
    },
  };
}

const NO_FLOATS = new Float32Array(0);

/** `repeated float`, packed or not. */
export function floats(number: number): Field<Float32Array> {
  const tag = number * 8 + BYTES;
  return {
    number,
    type: "repeated float",
    absent: NO_FLOATS,
    read(reader, wireType, before) {
      const more = wireType === FIXED32 ? Float32Array.of(reader.float()) : packed(reader, wireType);
      return before.length === 0 ? more : joined(before, more);
    },
    finish: (values) => (values.byteLength < values.buffer.byteLength ? values.slice() : values),
    write(writer, values) {
      if (values.length === 0) return;
      writer.varint(tag);
      writer.floats(values);
    },
  };
}

/**
 * `before` continued, in its own memory while that has room, and else in twice as much: a vector that comes in as many
 * pieces as it has elements must not be copied as many times.
 */
function joined(before: Float32Array, more: Float32Array): Float32Array {
  const length = before.length + more.length;
  const room = before.buffer.byteLength / Float32Array.BYTES_PER_ELEMENT;
  const memory = length <= room ? before.buffer : new Float32Array(2 * length).buffer;
  const both = new Float32Array(memory, 0, length);
  if (memory !== before.buffer) both.set(before);
  both.set(more, before.length);
  return both;
}

function packed(reader: Reader, wireType: number): Float32Array {
  expect(BYTES, wireType, "repeated float");
  return reader.floats();
}

const NOTHING: readonly never[] = [];

export function strings(number: number): Field<readonly string[]> {
  return repeated(number, STRING);
}

/** Any number of values that are not packed. */
export function repeated<T>(number: number, scalar: Scalar<T>): Field<readonly T[]> {
  const tag = number * 8 + scalar.wireType;
  return {
    number,
    type: `repeated ${scalar.type}`,
    holds: scalar,
    absent: NOTHING,
    read(reader, wireType, before) {
      expect(scalar.wireType, wireType, scalar.type);
      const value = scalar.read(reader);
      if (before === NOTHING) return [value];
      // Ours since its first element.
      (before as T[]).push(value);
      return before;
    },
    write(writer, values) {
      for (const value of values) {
        writer.varint(tag);
        scalar.write(writer, value);
      }
    },
  };
}
