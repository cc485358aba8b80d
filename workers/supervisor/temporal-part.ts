import { temporalAnswers } from '#services/embedded/temporal-answers.ts';
import { type TemporalFacts, type TemporalServerOptions, startTemporal } from '#services/embedded/temporal-server.ts';
import { silentAfterMs, watchAnswers } from './pulse.ts';
import type { PartDefinition } from './supervised-part.ts';

/** The embedded Temporal: ended when it lives but answers nobody, and so started again like after any death. */
export function defineTemporalPart(options: TemporalServerOptions): PartDefinition<TemporalFacts> {
  return {
    name: 'temporal',
    start: async () => {
      const server = await startTemporal(options);
      const watch = watchAnswers(
        () => temporalAnswers(server.facts.httpPort, silentAfterMs),
        () => {
          options.say(`Temporal (process ${server.identity.pid}) lives but has not answered for ${silentAfterMs / 1_000} s: it is ended and started again.`);
          void server.stop();
        },
      );
      void server.exited.then(() => watch.stop());
      return server;
    },
  };
}
