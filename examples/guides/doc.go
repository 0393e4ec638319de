// Package guides replays the guides of docs/guides: every command is run as it stands there, every change of a file is made, and what the guide
// says will be seen must be seen.
//
// What counts in a guide:
//
//   - a block "sh": its lines are run by bash, in the directory that the block before left; "sh background": it runs until a line of prose says
//     Ctrl-C; "sh exit 1": it ends with this code, others with 0
//   - a block "text" after it: its output, all of it. "…" stands for any text, and in a line of its own for any lines. Of a block in the
//     background it is the beginning. A block whose commands are curl is tried again until the output is there: what was changed before it
//     comes into effect while the reader goes to the other terminal
//   - a block "text background": lines that the block in the background writes next
//   - a block "diff": a change of the file that it names
//   - blocks in other languages are from the files of the plugin as it was made, and must be found there
package guides
