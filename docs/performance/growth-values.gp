# gnuplot growth-values.gp: draws growth-values.csv, which `cargo bench --bench growth -- --values` makes.
set terminal svg size 960,1080 font 'sans-serif,13' background '#ffffff'
set output 'growth-values.svg'
set datafile separator ','
set datafile columnheaders
set multiplot layout 3,2
set grid
set logscale x 2
set xrange [10:2**21]
set xtics ('16 B' 16, '128 B' 128, '1 KiB' 2**10, '16 KiB' 2**14, '128 KiB' 2**17, '1 MiB' 2**20)
set xlabel 'a value; the same bytes of keys and values in all'
set key above maxcols 2 samplen 1.5
data = 'growth-values.csv'
blue = '#1f5fa8'
red = '#b04a2f'
green = '#3b7d4f'
violet = '#7a4fa0'
gray = '#777777'

set ylabel 'a second'
set logscale y
set yrange [10:1e8]
set format y '%.0s%c'
plot data using 'value_bytes':'absent_per_s' with linespoints pt 7 lc rgb violet title 'gets of absent keys', \
     '' using 'value_bytes':'get_per_s' with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'value_bytes':'load_per_s' with linespoints pt 7 lc rgb green title 'sets of the load', \
     '' using 'value_bytes':'mixed_per_s' with linespoints pt 7 lc rgb blue title 'mixed'

set ylabel 'MiB of keys and values a second'
set yrange [1:1e5]
set format y '%g'
mib(name) = column(name) * (column('value_bytes') + 23) / 2**20
plot data using 'value_bytes':(mib('get_per_s')) with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'value_bytes':'load_mib_per_s' with linespoints pt 7 lc rgb green title 'sets of the load', \
     '' using 'value_bytes':(mib('mixed_per_s')) with linespoints pt 7 lc rgb blue title 'mixed'

set ylabel 'µs: p50, p99 (dashed), p99.9 (dotted)'
set yrange [0.1:1e5]
plot data using 'value_bytes':'get_p50_us' with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'value_bytes':'get_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'value_bytes':'get_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle, \
     '' using 'value_bytes':'load_set_p50_us' with linespoints pt 7 lc rgb green title 'sets of the load', \
     '' using 'value_bytes':'load_set_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'value_bytes':'load_set_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle
plot data using 'value_bytes':'mixed_get_p50_us' with linespoints pt 7 lc rgb red title 'gets beside sets', \
     '' using 'value_bytes':'mixed_get_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'value_bytes':'mixed_get_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle, \
     '' using 'value_bytes':'mixed_set_p50_us' with linespoints pt 7 lc rgb green title 'sets beside gets', \
     '' using 'value_bytes':'mixed_set_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'value_bytes':'mixed_set_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle

unset logscale y
set ylabel 'bytes for each byte'
set yrange [0:*]
plot data using 'value_bytes':'load_write_amp' with linespoints pt 7 lc rgb green title 'written, load', \
     '' using 'value_bytes':'all_write_amp' with linespoints pt 7 lc rgb blue title 'written, load and mixed', \
     '' using 'value_bytes':(column('get_bytes')/(column('value_bytes')+23)) with linespoints pt 7 lc rgb red title 'read from files, gets', \
     '' using 'value_bytes':'mixed_space_amp' with linespoints pt 7 lc rgb violet title 'on the disk after mixed'

set ylabel 'MiB'
plot data using 'value_bytes':'raw_mib' with linespoints pt 7 dt 2 lc rgb gray title 'keys and values', \
     '' using 'value_bytes':'disk_mib' with linespoints pt 7 dt 2 lc rgb blue title 'on the disk after the load', \
     '' using 'value_bytes':'mixed_disk_mib' with linespoints pt 7 lc rgb blue title 'on the disk after mixed', \
     '' using 'value_bytes':'peak_mib' with linespoints pt 7 lc rgb red title 'peak memory (budget 1024)'
