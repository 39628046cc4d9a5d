/**
 * A queue whose cost per item does not grow with its length: `Array.prototype.shift` moves what is left once an array is large, and a peer
 * decides how many tiny messages wait.
 */

/** Taken items are dropped from the array when there are so many of them, and more than are left. */
const compactFrom = 1024;

export class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }
  push(item: Item): void {
    this.#items.push(item);
  }
  peek(): Item | undefined {
    return this.#items[this.#head];
  }
  last(): Item | undefined {
    return this.length === 0 ? undefined : this.#items[this.#items.length - 1];
  }
  shift(): Item | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= compactFrom && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
  /** Removes the newest item, if there is one. */
  pop(): Item | undefined {
    if (this.length === 0) return undefined;
    return this.#items.pop();
  }
  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
