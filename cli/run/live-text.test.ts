import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { aDelta, eventMaker } from '#tests/kai/shapes.ts';
import { columnsOf } from '../terminal-text.ts';
import { createLiveText, renderLiveText } from './live-text.ts';

const view = { colours: pc.createColors(false), columns: 30, rows: 3 };

describe('text as it comes', () => {
  test('is joined piece by piece', () => {
    const live = createLiveText();
    live.take(aDelta('ask', 0, 'Hello '));
    live.take(aDelta('ask', 6, 'world'));
    expect(live.latest()).toEqual({ stepPath: 'ask', text: 'Hello world' });
  });

  test('starts over when the text so far comes again, or a later call of the step speaks', () => {
    const live = createLiveText();
    live.take(aDelta('ask', 0, 'Hello '));
    live.take(aDelta('ask', 0, 'Hello wor'));
    expect(live.latest()?.text).toBe('Hello wor');
    live.take(aDelta('ask', 0, 'Good', 2));
    live.take(aDelta('ask', 9, 'ld', 1));
    expect(live.latest()?.text).toBe('Good');
  });

  test('shows that something is missing', () => {
    const live = createLiveText();
    live.take(aDelta('ask', 0, 'One'));
    live.take(aDelta('ask', 100, 'two'));
    expect(live.latest()?.text).toBe('One… two');
  });

  test('ends with its step, or its attempt, and another one is heard', () => {
    const [live, event] = [createLiveText(), eventMaker()];
    live.take(aDelta('ask[0]', 0, 'first'));
    live.take(aDelta('ask[1]', 0, 'second'));
    live.event(event('step.succeeded', { stepPath: 'ask[1]' }));
    expect(live.latest()).toEqual({ stepPath: 'ask[0]', text: 'first' });
    live.event(event('step.started', { stepPath: 'ask[0]' }));
    expect(live.latest()?.text).toBe('first');
    live.event(event('step.retrying', { stepPath: 'ask[0]', attempt: 1 }));
    expect(live.latest()).toBeNull();
    // What comes too late is not shown; what the next attempt says is.
    live.take(aDelta('ask[0]', 5, ' late'));
    live.take(aDelta('ask[1]', 0, 'second'));
    expect(live.latest()).toBeNull();
    live.event(event('step.started', { stepPath: 'ask[1]', attempt: 1 }));
    live.take(aDelta('ask[1]', 0, 'again', 2));
    expect(live.latest()).toEqual({ stepPath: 'ask[1]', text: 'again' });
  });

  test('holds no more than a screen could show', () => {
    const live = createLiveText();
    for (let count = 0; count < 100; count += 1) live.take(aDelta('ask', count * 1_000, 'x'.repeat(1_000)));
    expect(live.latest()?.text.length).toBe(4_000);
  });
});

describe('on the screen', () => {
  const shown = (text: string): string[] => {
    const live = createLiveText();
    live.take(aDelta('ask', 0, text));
    return renderLiveText(live, view);
  };

  test('its last lines stand under the step’s name, broken at words', () => {
    expect(shown('The quick brown fox jumps over the lazy dog.')).toEqual(['  ask says:', '  │ The quick brown fox jumps', '  │ over the lazy dog.']);
    expect(shown('one\ntwo\nthree\nfour\n')).toEqual(['  ask says:', '  │ two', '  │ three', '  │ four']);
  });

  test('what has no place to break is cut, wide characters counted', () => {
    const lines = shown(`${'x'.repeat(60)} ${'漢'.repeat(20)}`);
    expect(lines.slice(1).map((line) => columnsOf(line) <= view.columns)).toEqual([true, true, true]);
    expect(shown('x'.repeat(60)).slice(1).join('').replaceAll('  │ ', '')).toBe('x'.repeat(60));
  });

  test('no control character of a model reaches the terminal', () => {
    expect(shown('a\u001b[2Jb\u0007')).toEqual(['  ask says:', '  │ a\\u{1b}[2Jb\\u{7}']);
  });

  test('nothing is shown while nobody speaks', () => {
    expect(renderLiveText(createLiveText(), view)).toEqual([]);
    expect(shown(' \n')).toEqual([]);
  });
});
