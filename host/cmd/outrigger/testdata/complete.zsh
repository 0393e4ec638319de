# zsh -f complete.zsh SCRIPT LINE...: what zsh completes at the end of each line, one line of words each. An interactive zsh in a terminal of its own does it.
# A compadd with -O, -A or -D only fills arrays. Comments do not work inside: the inner shell is interactive.
zmodload zsh/zpty
script=$1
shift
zpty inner zsh -f -i
zpty -w inner 'PS1= RPS1= PROMPT_EOL_MARK=; stty -echo; autoload -Uz compinit; compinit -u -D; source '${(q)script}'
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a hits
        builtin compadd -A hits "$@"
        (( $#hits )) && print -rl -- "" "HIT:"${^hits}
    fi
    builtin compadd "$@"
}
complete-and-tell() {
    _main_complete
    compstate[insert]= compstate[list]=
    print -rl -- "" "OV""ER:"
}
zle -C complete-and-tell complete-word complete-and-tell
bindkey "^I" complete-and-tell
bindkey "^U" kill-whole-line
print "REA""DY:"'
until [[ $out == *READY:* ]]; do zpty -r inner out || exit 1; done
for line in "$@"; do
    zpty -w -n inner $'\C-u'$line$'\t'
    found=()
    while zpty -r inner out; do
        out=${out%%$'\r'*}
        [[ $out == *HIT:* ]] && found+=(${out##*HIT:})
        [[ $out == *OVER:* ]] && break
    done
    print -r -- $found
done
zpty -d inner
