/** Slow search for plans that break the engine: `node tests/engine-simulation/search.ts [first seed]`. The test tries the first few thousand only. */
import { simulate } from './simulate.ts';

const plans = 200_000;
const first = Number(process.argv[2] ?? 1);
const startedAt = performance.now();
let broken = 0;
for (let seed = first; seed < first + plans; seed += 1) {
  try {
    simulate(seed, { loss: 0.01, handOver: 0.02, forgedDecision: 0.02, pause: 0.02, byHand: 0.03, retry: 0.5 });
  } catch (error) {
    broken += 1;
    console.error((error as Error).message);
    if (broken >= 20) break;
  }
}
console.log(`${broken} broken of up to ${plans} plans from seed ${first} on, in ${Math.round(performance.now() - startedAt)} ms`);
process.exitCode = broken === 0 ? 0 : 1;
