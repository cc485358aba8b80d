/**
 * What happened since its reader last looked. Sleeping costs one promise: in workflow code the SDK takes a stack trace of every promise (50 µs and
 * more), and `condition` another entry into the sandbox.
 */
export class Inbox<Event> {
  private events: Event[] = [];
  private wake: (() => void) | null = null;

  get isEmpty(): boolean {
    return this.events.length === 0;
  }

  push(event: Event): void {
    this.events.push(event);
    this.rouse();
  }

  /** All of them, once. What an activation brings is here before its reader goes on. */
  take(): Event[] {
    return this.events.splice(0);
  }

  /** Wakes the reader though nothing was pushed. */
  rouse(): void {
    this.wake?.();
    this.wake = null;
  }

  /** For one reader. Call it only while there is nothing to read. */
  sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}
