/** Loaded before a process's own code (`--import`): from then on its clock is off by `KOS_TEST_CLOCK_OFFSET_MS`. Timers are not: they count from now. */
const offsetMs = Number(process.env['KOS_TEST_CLOCK_OFFSET_MS']);
const RealDate = globalThis.Date;

globalThis.Date = class ShiftedDate extends RealDate {
  constructor(...given: []) {
    if (given.length === 0) super(RealDate.now() + offsetMs);
    else super(...given);
  }

  static override now(): number {
    return RealDate.now() + offsetMs;
  }
} as DateConstructor;
