# gnuplot peers.gp: draws peers-ratios.csv, which `peers tables peers-all.json --csv peers-ratios.csv` makes.
set terminal svg size 960,560 font 'sans-serif,13' background '#ffffff'
set output 'peers.svg'
set datafile separator ','
set datafile columnheaders
set grid
set logscale y
set yrange [0.03:700]
set ytics (0.05, 0.1, 0.2, 0.5, 1, 1.3, 2, 5, 10, 20, 100)
set ylabel 'esker to the peer; above 1: esker is ahead'
set xtics rotate by -50 noenhanced
set xrange [-0.5:24.5]
set key above maxcols 5 samplen 0.5
set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 2 lc rgb '#444444' back
data = 'peers-ratios.csv'
plot data using 0:(column('fjall')):xtic(1) with points pt 7 ps 0.9 lc rgb '#3b7d4f' title 'fjall', \
     '' using 0:(column('rocksdb')) with points pt 5 ps 0.9 lc rgb '#b04a2f' title 'RocksDB', \
     '' using 0:(column('lmdb')) with points pt 9 ps 1.1 lc rgb '#1f5fa8' title 'LMDB', \
     '' using 0:(column('redb')) with points pt 11 ps 0.9 lc rgb '#8a5a9e' title 'redb', \
     '' using 0:(column('canopydb')) with points pt 13 ps 0.9 lc rgb '#c08a1e' title 'canopydb'
