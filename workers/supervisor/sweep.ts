import { postgresStopSteps } from '#services/embedded/postgres-settings.ts';
import { sweepPart } from '#services/embedded/run-records.ts';
import { temporalStopSteps } from '#services/embedded/temporal-settings.ts';

/** Ends what a killed supervisor left behind, before ports are looked at: our own old API must not be taken for another program. */
export async function sweepHome(home: string, say: (message: string) => void): Promise<void> {
  for (const name of ['api', 'worker']) await sweepOne(home, name, say);
  await Promise.all(['temporal', 'postgres'].map((name) => sweepOne(home, name, say)));
}

const programStopSteps = [{ signal: 'SIGTERM', graceMs: 3_000 }] as const;

async function sweepOne(home: string, name: string, say: (message: string) => void): Promise<void> {
  const steps = name === 'postgres' ? postgresStopSteps : name === 'temporal' ? temporalStopSteps : [...programStopSteps];
  const pid = await sweepPart(home, name, steps);
  if (pid !== null) say(`Stopped ${name} (process ${pid}), which an earlier start had left behind.`);
}
