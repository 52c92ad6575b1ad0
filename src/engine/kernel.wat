;; Distances of one query to many vectors that lie one after the other: four float32 lanes, four sums at a time.
;; Vectors are padded with zeros to whole groups of four (`stride` bytes each), which changes no distance.
(module
  (memory (export "memory") 1)

  (func $sum (param $v v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $v)) (f32x4.extract_lane 1 (local.get $v)))
      (f32.add (f32x4.extract_lane 2 (local.get $v)) (f32x4.extract_lane 3 (local.get $v)))))

  ;; out[i] = 1 - q . v[i]
  (func (export "innerProduct")
    (param $query i32) (param $vector i32) (param $count i32) (param $stride i32) (param $out i32)
    (local $at i32) (local $end i32) (local $fours i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $fours (i32.and (local.get $stride) (i32.const -64)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (local.set $at (local.get $query))
        (local.set $end (i32.add (local.get $query) (local.get $fours)))
        (block $rest
          (loop $four
            (br_if $rest (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $a (f32x4.add (local.get $a)
              (f32x4.mul (v128.load (local.get $at)) (v128.load (local.get $vector)))))
            (local.set $b (f32x4.add (local.get $b)
              (f32x4.mul (v128.load offset=16 (local.get $at)) (v128.load offset=16 (local.get $vector)))))
            (local.set $c (f32x4.add (local.get $c)
              (f32x4.mul (v128.load offset=32 (local.get $at)) (v128.load offset=32 (local.get $vector)))))
            (local.set $d (f32x4.add (local.get $d)
              (f32x4.mul (v128.load offset=48 (local.get $at)) (v128.load offset=48 (local.get $vector)))))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (local.set $vector (i32.add (local.get $vector) (i32.const 64)))
            (br $four)))
        (local.set $end (i32.add (local.get $query) (local.get $stride)))
        (block $whole
          (loop $one
            (br_if $whole (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $a (f32x4.add (local.get $a)
              (f32x4.mul (v128.load (local.get $at)) (v128.load (local.get $vector)))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (local.set $vector (i32.add (local.get $vector) (i32.const 16)))
            (br $one)))
        (f32.store (local.get $out)
          (f32.sub (f32.const 1)
            (call $sum (f32x4.add
              (f32x4.add (local.get $a) (local.get $b))
              (f32x4.add (local.get $c) (local.get $d))))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; out[i] = |q - v[i]|^2
  (func (export "squaredDistance")
    (param $query i32) (param $vector i32) (param $count i32) (param $stride i32) (param $out i32)
    (local $at i32) (local $end i32) (local $fours i32) (local $x v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $fours (i32.and (local.get $stride) (i32.const -64)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (local.set $at (local.get $query))
        (local.set $end (i32.add (local.get $query) (local.get $fours)))
        (block $rest
          (loop $four
            (br_if $rest (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $x (f32x4.sub (v128.load (local.get $at)) (v128.load (local.get $vector))))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $x (f32x4.sub (v128.load offset=16 (local.get $at)) (v128.load offset=16 (local.get $vector))))
            (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $x (f32x4.sub (v128.load offset=32 (local.get $at)) (v128.load offset=32 (local.get $vector))))
            (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $x (f32x4.sub (v128.load offset=48 (local.get $at)) (v128.load offset=48 (local.get $vector))))
            (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (local.set $vector (i32.add (local.get $vector) (i32.const 64)))
            (br $four)))
        (local.set $end (i32.add (local.get $query) (local.get $stride)))
        (block $whole
          (loop $one
            (br_if $whole (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $x (f32x4.sub (v128.load (local.get $at)) (v128.load (local.get $vector))))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (local.set $vector (i32.add (local.get $vector) (i32.const 16)))
            (br $one)))
        (f32.store (local.get $out)
          (call $sum (f32x4.add
            (f32x4.add (local.get $a) (local.get $b))
            (f32x4.add (local.get $c) (local.get $d)))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))))
