import { validateJson } from '#core/plan/json-schema.ts';
import { checkOutput, readStepFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep, skipStep } from '#services/runs/actions/steps-by-hand.ts';
import type { Json } from '#schemas/json.ts';
import type { TestEngine } from './test-engine.ts';

/** What a person does to a step of a run, with the checks of the API that need no tools. */
export const byHand = (engine: () => TestEngine) => ({
  override: (runId: string, path: string, output: Json): Promise<void> =>
    engine().act(runId, async (transaction, change) => {
      const step = await readStepFacts(transaction, runId, path);
      await checkOutput(step, output, [], async (schema, value) => validateJson(schema, value));
      await overrideStep(transaction, { ...change, path, output, reason: 'known' }, step);
    }),
  skip: (runId: string, path: string): Promise<void> =>
    engine().act(runId, async (transaction, change) =>
      skipStep(transaction, { ...change, path, reason: 'not needed' }, await readStepFacts(transaction, runId, path)),
    ),
});
