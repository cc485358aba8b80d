/** A part that cannot start. */
console.error('This part is broken on purpose');
process.exitCode = 7;
