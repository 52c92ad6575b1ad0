// hnswlib-node takes a vector as an array of numbers and fetches each through the runtime: 41 us for 784 dimensions, a
// fifth of a search. This lets its source take a Float32Array too, which is one copy. Arrays go the way they went.
// adr/0011 says why here and how to get rid of it.
import { readFileSync, renameSync, writeFileSync } from "node:fs";

const MARK = "// flotilla: vectors as Float32Array";

const READER = `${MARK}
class Vector {
public:
  static bool Is(const Napi::Value& value) {
    return value.IsArray() ||
           (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array);
  }

  explicit Vector(const Napi::Value& value) : value_(value), typed_(value.IsTypedArray()) {}

  uint32_t Length() const {
    return typed_ ? static_cast<uint32_t>(value_.As<Napi::TypedArray>().ElementLength())
                  : value_.As<Napi::Array>().Length();
  }

  void CopyTo(std::vector<float>& out) const {
    if (typed_) {
      const float* data = value_.As<Napi::Float32Array>().Data();
      std::copy(data, data + out.size(), out.begin());
      return;
    }
    const Napi::Array numbers = value_.As<Napi::Array>();
    for (uint32_t i = 0; i < out.size(); i++) {
      Napi::Value element = numbers[i];
      out[i] = element.As<Napi::Number>().FloatValue();
    }
  }

private:
  Napi::Value value_;
  bool typed_;
};

`;

const ONE_LOOP = `for (uint32_t i = 0; i < dim_; i++) {
      Napi::Value val = arr[i];
      vec[i] = val.As<Napi::Number>().FloatValue();
    }`;
const TWO_LOOPS = `for (uint32_t i = 0; i < dim_; i++) {
      Napi::Value val_a = arr_a[i];
      Napi::Value val_b = arr_b[i];
      vec_a[i] = val_a.As<Napi::Number>().FloatValue();
      vec_b[i] = val_b.As<Napi::Number>().FloatValue();
    }`;

/** What is replaced, by what, and how often it must be found: another number means another release of the library. */
const CHANGES = [
  ["class L2Space :", `${READER}class L2Space :`, 1],
  ["if (!info[0].IsArray())", "if (!Vector::Is(info[0]))", 6],
  ["if (!info[1].IsArray())", "if (!Vector::Is(info[1]))", 2],
  ["Napi::Array arr = info[0].As<Napi::Array>();", "const Vector arr(info[0]);", 4],
  ["Napi::Array arr_a = info[0].As<Napi::Array>();", "const Vector arr_a(info[0]);", 2],
  ["Napi::Array arr_b = info[1].As<Napi::Array>();", "const Vector arr_b(info[1]);", 2],
  [ONE_LOOP, "arr.CopyTo(vec);", 4],
  [TWO_LOOPS, "arr_a.CopyTo(vec_a);\n    arr_b.CopyTo(vec_b);", 2],
];

/** Part of what a build depends on. */
export const typedVectors = CHANGES.map((change) => change.join("\n")).join("\n");

/** Rewrites the library's one source file; twice is once. Throws when the file is not the one this was written for. */
export function takeTypedVectors(file) {
  let source = readFileSync(file, "utf8");
  if (source.includes(MARK)) return;
  for (const [from, to, times] of CHANGES) {
    const parts = source.split(from);
    if (parts.length !== times + 1)
      throw new Error(`${file}: "${from.split("\n")[0]}" is there ${parts.length - 1} times, not ${times}`);
    source = parts.join(to);
  }
  // A new file, as package caches link the old one into other places.
  writeFileSync(`${file}.new`, source);
  renameSync(`${file}.new`, file);
}
