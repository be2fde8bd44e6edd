/** What is to happen, earliest first; of two at the same time the one that was added first. Events are three numbers beside their kind. */
export class EventQueue {
  /** Binary heap of places in the columns below. */
  #heap = new Int32Array(256);
  #size = 0;
  #free: number[] = [];
  #places = 0;
  #added = 0;
  #time = new Float64Array(256);
  #order = new Float64Array(256);
  #kind = new Uint8Array(256);
  #a = new Int32Array(256);
  #b = new Int32Array(256);
  #c = new Int32Array(256);

  /** The event that pop() took. */
  kind = 0;
  a = 0;
  b = 0;
  c = 0;

  /** Infinity when nothing is to happen. */
  get nextMs(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#time[this.#heap[0] as number] as number);
  }

  add(atMs: number, kind: number, a = 0, b = 0, c = 0): void {
    const place = this.#free.pop() ?? this.#places++;
    if (place >= this.#time.length) this.#grow();
    this.#time[place] = atMs;
    this.#order[place] = this.#added++;
    this.#kind[place] = kind;
    this.#a[place] = a;
    this.#b[place] = b;
    this.#c[place] = c;
    const heap = this.#heap;
    let index = this.#size++;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const other = heap[parent] as number;
      if (!this.#before(place, other)) break;
      heap[index] = other;
      index = parent;
    }
    heap[index] = place;
  }

  /** Takes the first event; its parts are in the fields. The queue must not be empty. */
  pop(): void {
    const heap = this.#heap;
    const first = heap[0] as number;
    this.#free.push(first);
    this.kind = this.#kind[first] as number;
    this.a = this.#a[first] as number;
    this.b = this.#b[first] as number;
    this.c = this.#c[first] as number;
    const size = --this.#size;
    if (size === 0) return;
    const last = heap[size] as number;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(heap[child + 1] as number, heap[child] as number)) child += 1;
      const other = heap[child] as number;
      if (!this.#before(other, last)) break;
      heap[index] = other;
      index = child;
    }
    heap[index] = last;
  }

  #before(left: number, right: number): boolean {
    const l = this.#time[left] as number;
    const r = this.#time[right] as number;
    return l < r || (l === r && (this.#order[left] as number) < (this.#order[right] as number));
  }

  #grow(): void {
    const length = this.#time.length * 2;
    const larger = <T extends Float64Array | Int32Array | Uint8Array>(next: T, old: T): T => {
      next.set(old);
      return next;
    };
    this.#heap = larger(new Int32Array(length), this.#heap);
    this.#time = larger(new Float64Array(length), this.#time);
    this.#order = larger(new Float64Array(length), this.#order);
    this.#kind = larger(new Uint8Array(length), this.#kind);
    this.#a = larger(new Int32Array(length), this.#a);
    this.#b = larger(new Int32Array(length), this.#b);
    this.#c = larger(new Int32Array(length), this.#c);
  }
}
