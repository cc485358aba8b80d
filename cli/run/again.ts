import { type Command, Option } from 'commander';
import { KosError } from '#core/errors.ts';
import { type OfferAction, offerActions, type OfferForm, offerForms, type RunOffers } from '#schemas/again.ts';
import type { Invocation } from '../invocation.ts';
import { resolveRunId, runArgument } from '../short-ids.ts';
import { visibleLine, visibleText } from '../terminal-text.ts';

interface AgainOptions {
  of?: OfferAction;
  as?: OfferForm;
}

/** `run again`: what can be made of a run, to read or to copy. */
export function defineAgain(run: Command, invocation: Invocation): void {
  run
    .command('again')
    .summary('run it again, schedule it, make a trigger of it: what to call, as kai, curl or TypeScript')
    .argument(...runArgument)
    .addOption(new Option('--of <what>', 'one of them').choices(offerActions))
    .addOption(new Option('--as <form>', 'to copy: kai unless it is said otherwise').choices(offerForms))
    .addHelpText('after', '\nExample: kai run again last --of start --as curl')
    .action(async (given: string, options: AgainOptions) => {
      const id = await resolveRunId(invocation.client, given);
      tell(invocation, await invocation.client.runs.again(id), options);
    });
}

function tell({ output }: Invocation, { runId, offers, note }: RunOffers, options: AgainOptions): void {
  const wanted = options.of === undefined && options.as !== undefined ? 'start' : options.of;
  const chosen = wanted === undefined ? offers : offers.filter(({ action }) => action === wanted);
  if (chosen.length === 0) throw nothingToCopy(runId, note);
  if (output.json) {
    output.document({ runId, offers: chosen, note });
    return;
  }
  const form = options.as ?? 'kai';
  if (wanted !== undefined) {
    for (const offer of chosen) output.data(visibleText(offer[form]));
    return;
  }
  for (const [index, offer] of chosen.entries()) {
    output.data(`${index === 0 ? '' : '\n'}# ${visibleLine(offer.text)}${offer.allowed ? '' : ' (you may not)'}`);
    output.data(visibleText(offer[form]));
  }
  if (note !== null) output.say(note);
}

/** What every run that has ended offers. */
export const describeAgain = (runId: string): string => `Run it again, schedule it, make a trigger, copy it: kai run again ${runId}`;

const nothingToCopy = (runId: string, note: string | null): KosError =>
  new KosError({
    code: 'nothing_to_copy',
    message: note ?? 'This cannot be made of that run.',
    fix: `Run it again as it was: kai run replay ${runId}`,
    status: 409,
  });
