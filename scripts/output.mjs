/**
 * Whoever reads what a script prints may stop early, as `head` does, or close the terminal: the exit code still says how the run ended.
 */

/** @param {NodeJS.WriteStream} stream @param {NodeJS.ErrnoException} error */
function isLeft(stream, { code }) {
  return code === 'EPIPE' || (code === 'EIO' && stream.isTTY);
}

/** To be called before the first line. What else goes wrong with an output ends the script. */
export function outliveReader() {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (!isLeft(stream, error)) process.exit(1);
    });
  }
}
