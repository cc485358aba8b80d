import { fanOut, type FanOutMeans } from '#services/outgoing/fan-out.ts';
import { startDeliveries, type StartOptions } from '#services/outgoing/start.ts';
import { type Duty, repeat } from './repeat.ts';

const idlePauseMs = 500;
/** Every request that may have something to tell nudges it, most have nothing, and a round asks the database four times. */
const apartMs = 100;

/** Tells programs outside of what happens. A nudge makes it look soon. */
export const startOutgoing = (options: StartOptions & FanOutMeans): Duty =>
  repeat(
    'outgoing',
    options.log,
    async () => {
      const [more, moreToStart] = [await fanOut(options), await startDeliveries(options)];
      return more || moreToStart ? 0 : idlePauseMs;
    },
    apartMs,
  );
