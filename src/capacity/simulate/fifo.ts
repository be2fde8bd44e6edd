/** A queue of whole numbers in a ring that grows. */
export class Fifo {
  #ring: Int32Array;
  #head = 0;
  #size = 0;

  constructor(capacity = 64) {
    this.#ring = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  push(value: number): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value;
    this.#size += 1;
  }

  /** Puts a value back to the front. */
  unshift(value: number): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#size += 1;
  }

  /** The queue must not be empty. */
  shift(): number {
    const value = this.#ring[this.#head] as number;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size -= 1;
    return value;
  }

  #grow(): void {
    const next = new Int32Array(this.#ring.length * 2);
    for (let index = 0; index < this.#size; index += 1) next[index] = this.#ring[(this.#head + index) & (this.#ring.length - 1)] as number;
    this.#ring = next;
    this.#head = 0;
  }
}
