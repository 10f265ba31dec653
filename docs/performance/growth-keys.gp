# gnuplot growth-keys.gp: draws growth-keys.csv, which `cargo bench --bench growth -- --keys` makes.
set terminal svg size 960,1080 font 'sans-serif,13' background '#ffffff'
set output 'growth-keys.svg'
set datafile separator ','
set datafile columnheaders
set multiplot layout 3,2
set grid
set logscale x
unset mxtics
set autoscale xfix
set offsets graph 0.05, graph 0.05, 0, 0
millions(n) = gprintf('%.0s%c', n)
set xlabel 'keys'
set key above maxcols 2 samplen 1.5
data = 'growth-keys.csv'
blue = '#1f5fa8'
red = '#b04a2f'
green = '#3b7d4f'
violet = '#7a4fa0'

set ylabel 'a second'
set logscale y
set yrange [1e4:2e7]
set format y '%.0s%c'
plot data using 'keys':'absent_per_s':xtic(millions(column('keys'))) with linespoints pt 7 lc rgb violet title 'gets of absent keys', \
     '' using 'keys':'get_per_s' with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'keys':'load_per_s' with linespoints pt 7 lc rgb green title 'sets of the load', \
     '' using 'keys':'mixed_per_s' with linespoints pt 7 lc rgb blue title 'mixed'

set ylabel 'µs: p50, p99 (dashed), p99.9 (dotted)'
set yrange [0.1:1e5]
set format y '%g'
plot data using 'keys':'get_p50_us':xtic(millions(column('keys'))) with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'keys':'get_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'keys':'get_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle, \
     '' using 'keys':'load_set_p50_us' with linespoints pt 7 lc rgb green title 'sets of the load', \
     '' using 'keys':'load_set_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'keys':'load_set_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle

plot data using 'keys':'mixed_get_p50_us':xtic(millions(column('keys'))) with linespoints pt 7 lc rgb red title 'gets beside sets', \
     '' using 'keys':'mixed_get_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'keys':'mixed_get_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle, \
     '' using 'keys':'mixed_set_p50_us' with linespoints pt 7 lc rgb green title 'sets beside gets', \
     '' using 'keys':'mixed_set_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'keys':'mixed_set_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle

unset logscale y
set ylabel 'bytes for each byte'
set yrange [0:*]
plot data using 'keys':'load_write_amp':xtic(millions(column('keys'))) with linespoints pt 7 lc rgb green title 'written, load', \
     '' using 'keys':'all_write_amp' with linespoints pt 7 lc rgb blue title 'written, load and mixed', \
     '' using 'keys':'mixed_space_amp' with linespoints pt 7 lc rgb violet title 'on the disk', \
     '' using 'keys':'mixed_over_merged' with linespoints pt 7 dt 2 lc rgb violet title 'on the disk, to all merged'

set ylabel 'for each get'
plot data using 'keys':'get_tables':xtic(millions(column('keys'))) with linespoints pt 7 lc rgb blue title 'tables looked at', \
     '' using 'keys':'get_blocks' with linespoints pt 7 lc rgb red title 'blocks read', \
     '' using 'keys':(column('get_bytes')/1024) with linespoints pt 7 lc rgb green title 'KiB read', \
     '' using 'keys':'absent_blocks' with linespoints pt 7 dt 2 lc rgb red title 'blocks read, absent keys'

set ylabel 'MiB'
set logscale y
set yrange [10:*]
plot data using 'keys':'raw_mib':xtic(millions(column('keys'))) with linespoints pt 7 dt 2 lc rgb '#777777' title 'keys and values', \
     '' using 'keys':'mixed_disk_mib' with linespoints pt 7 lc rgb blue title 'on the disk', \
     '' using 'keys':'peak_mib' with linespoints pt 7 lc rgb red title 'peak memory (budget 1024)'
