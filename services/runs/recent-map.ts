/** Keeps the most recently used values, so many at most. A promise that fails is not kept. */
export class RecentMap<Value> {
  private readonly values = new Map<string, Value>();
  private readonly atMost: number;

  constructor(atMost: number) {
    this.atMost = atMost;
  }

  getOrMake(key: string, make: () => Value): Value {
    const known = this.values.get(key);
    if (known !== undefined) {
      this.values.delete(key);
      this.values.set(key, known);
      return known;
    }
    const made = make();
    this.values.set(key, made);
    if (made instanceof Promise) made.catch(() => this.values.delete(key));
    if (this.values.size > this.atMost) {
      const oldest = this.values.keys().next().value;
      if (oldest !== undefined) this.values.delete(oldest);
    }
    return made;
  }
}
